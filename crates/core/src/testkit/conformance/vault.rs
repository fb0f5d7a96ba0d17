//! What every vault has to do.

use secrecy::{ExposeSecret, SecretString};

use crate::{
    domain::{ConnectionId, UserId},
    ports::{SealedKey, Vault, VaultError},
};

/// A key made of two names.
pub fn key(user: &str, connection: &str) -> SealedKey {
    SealedKey {
        user: UserId::new(user).expect("a valid user id"),
        connection: ConnectionId::new(connection).expect("a valid connection id"),
    }
}

/// Runs every case against an empty vault.
pub async fn suite(vault: &dyn Vault) {
    a_secret_comes_back_until_it_is_forgotten(vault).await;
    secrets_are_kept_apart(vault).await;
    any_text_can_be_sealed(vault).await;
    awkward_ids_are_no_paths(vault).await;
}

async fn open(vault: &dyn Vault, key: &SealedKey) -> String {
    let opened = vault.open(key).await;
    opened.unwrap_or_else(|error| panic!("{key:?} does not open: {error}")).expose_secret().to_owned()
}

async fn seal(vault: &dyn Vault, key: &SealedKey, text: &str) {
    let sealed = vault.seal(key, &SecretString::from(text)).await;
    assert_eq!(sealed, Ok(()), "sealing {key:?}");
}

async fn a_secret_comes_back_until_it_is_forgotten(vault: &dyn Vault) {
    let key = key("rider", "igpsport-global-1");
    assert_eq!(vault.forget(&key).await, Ok(()), "forgetting what was never there is no error");
    let missing = vault.open(&key).await.map(|_| ());
    assert_eq!(missing, Err(VaultError::Missing(key.connection.clone())), "before it is sealed");
    seal(vault, &key, "first").await;
    assert_eq!(open(vault, &key).await, "first");
    seal(vault, &key, "second").await;
    assert_eq!(open(vault, &key).await, "second", "sealing again replaces");
    assert_eq!(vault.forget(&key).await, Ok(()), "forgetting");
    let missing = vault.open(&key).await.map(|_| ());
    assert_eq!(missing, Err(VaultError::Missing(key.connection.clone())), "after it was forgotten");
}

async fn secrets_are_kept_apart(vault: &dyn Vault) {
    // Joined without a separator, the first two would be the same.
    let keys = [key("ab", "c"), key("a", "bc"), key("a", "b"), key("A", "b"), key("b", "a")];
    for (number, key) in keys.iter().enumerate() {
        seal(vault, key, &format!("secret {number}")).await;
    }
    for (number, key) in keys.iter().enumerate() {
        assert_eq!(open(vault, key).await, format!("secret {number}"), "{key:?} has its own secret");
    }
    assert_eq!(vault.forget(&keys[0]).await, Ok(()), "forgetting one");
    assert_eq!(open(vault, &keys[1]).await, "secret 1", "forgetting one leaves the others");
}

async fn any_text_can_be_sealed(vault: &dyn Vault) {
    let key = key("rider", "any");
    for text in ["", "{\"token\":\"é\u{1F6B4}\"}", "a\0b\n", &"x".repeat(64 * 1024)] {
        seal(vault, &key, text).await;
        assert_eq!(open(vault, &key).await, text, "a text of {} bytes comes back unchanged", text.len());
    }
}

async fn awkward_ids_are_no_paths(vault: &dyn Vault) {
    let long = "y".repeat(128);
    for (user, connection) in [("..", ".."), (".", "key"), ("rider", ".."), (&*long, &*long)] {
        let key = key(user, connection);
        seal(vault, &key, "mine").await;
        assert_eq!(open(vault, &key).await, "mine", "{key:?}");
        assert_eq!(vault.forget(&key).await, Ok(()), "{key:?}");
    }
}

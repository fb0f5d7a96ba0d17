use std::fs;

use async_trait::async_trait;
use fitbridge_core::testkit::{
    conformance::{self, vault::key},
    model,
};
use proptest::prelude::*;

use super::*;

fn secret() -> SecretString {
    SecretString::from("{\"token\":\"hush-hush\"}")
}

#[tokio::test]
async fn the_file_vault_conforms_and_stays_in_its_folder() {
    let home = tempfile::tempdir().unwrap();
    conformance::vault::suite(&FileVault::open(home.path())).await;
    let names: Vec<_> = fs::read_dir(home.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["vault"]);
    for entry in fs::read_dir(home.path().join("vault")).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        assert!(name == "key" || name.ends_with(".sealed"), "{name} was left behind");
    }
}

#[tokio::test]
async fn a_secret_survives_reopening_and_is_nowhere_in_clear() {
    let home = tempfile::tempdir().unwrap();
    let vault = FileVault::open(home.path());
    vault.seal(&key("me", "c"), &secret()).await.unwrap();
    for entry in fs::read_dir(home.path().join("vault")).unwrap().flatten() {
        let bytes = fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(9).any(|window| window == b"hush-hush"), "{:?}", entry.path());
    }
    let again = FileVault::open(home.path());
    assert_eq!(again.open(&key("me", "c")).await.unwrap().expose_secret(), secret().expose_secret());
    assert!(!format!("{again:?}").contains("hush"));
}

#[tokio::test]
async fn opening_what_is_not_there_writes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let vault = FileVault::open(home.path());
    assert!(matches!(vault.open(&key("me", "c")).await, Err(VaultError::Missing(_))));
    vault.forget(&key("me", "c")).await.unwrap();
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn moved_cut_changed_or_foreign_files_do_not_open() {
    let home = tempfile::tempdir().unwrap();
    let vault = FileVault::open(home.path());
    let (mine, other) = (key("me", "c"), key("you", "c"));
    vault.seal(&mine, &secret()).await.unwrap();
    let path = vault.0.path(&mine);
    let sealed = fs::read(&path).unwrap();

    fs::copy(&path, vault.0.path(&other)).unwrap();
    assert_eq!(vault.open(&other).await.map(|_| ()), Err(VaultError::Unsealable(other.connection.clone())));
    for place in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[place] ^= 1;
        fs::write(&path, changed).unwrap();
        assert!(matches!(vault.open(&mine).await, Err(VaultError::Unsealable(_))), "byte {place}");
    }
    for length in [0, 3, HEADER_LEN, sealed.len() - 1] {
        fs::write(&path, &sealed[..length]).unwrap();
        assert!(matches!(vault.open(&mine).await, Err(VaultError::Unsealable(_))), "{length} bytes");
    }
    fs::write(&path, &sealed).unwrap();
    fs::write(home.path().join("vault/key"), [7; 32]).unwrap();
    let foreign = FileVault::open(home.path());
    assert!(matches!(foreign.open(&mine).await, Err(VaultError::Unsealable(_))), "another key");
    fs::remove_file(home.path().join("vault/key")).unwrap();
    let keyless = FileVault::open(home.path());
    assert!(matches!(keyless.open(&mine).await, Err(VaultError::Unavailable(_))), "no key");
    assert!(!home.path().join("vault/key").exists(), "opening makes no key");
}

#[tokio::test]
async fn sealing_twice_uses_two_nonces() {
    let home = tempfile::tempdir().unwrap();
    let (vault, mine) = (FileVault::open(home.path()), key("me", "c"));
    vault.seal(&mine, &secret()).await.unwrap();
    let first = fs::read(vault.0.path(&mine)).unwrap();
    vault.seal(&mine, &secret()).await.unwrap();
    assert_ne!(first[8..20], fs::read(vault.0.path(&mine)).unwrap()[8..20]);
}

#[tokio::test]
async fn a_damaged_key_is_told() {
    let home = tempfile::tempdir().unwrap();
    let vault = FileVault::open(home.path());
    vault.seal(&key("me", "c"), &secret()).await.unwrap();
    fs::write(home.path().join("vault/key"), "short").unwrap();
    let error = FileVault::open(home.path()).open(&key("me", "c")).await.map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("is damaged"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let vault = FileVault::open(home.path());
    vault.seal(&key("me", "c"), &secret()).await.unwrap();
    let path = home.path().join("vault/key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(vault.0.path(&key("me", "c"))).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let again = FileVault::open(home.path());
    for error in [
        again.open(&key("me", "c")).await.map(|_| ()).unwrap_err(),
        again.seal(&key("me", "c"), &secret()).await.unwrap_err(),
    ] {
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}

#[test]
fn processes_that_make_the_key_at_once_get_the_same() {
    let home = tempfile::tempdir().unwrap();
    let make = || *KeyFile::of(&home.path().join("vault")).read_or_make().unwrap();
    let keys: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0] && *key != [0; 32]));
    assert_eq!(fs::read_dir(home.path().join("vault")).unwrap().count(), 1);
}

/// A vault and its folder.
struct Folder {
    home: tempfile::TempDir,
    vault: FileVault,
}

#[async_trait]
impl model::vault::Subject for Folder {
    fn vault(&self) -> Arc<dyn Vault> {
        Arc::new(self.vault.clone())
    }

    async fn damage(&mut self, key: &SealedKey) -> bool {
        let path = self.vault.0.path(key);
        let Ok(mut sealed) = fs::read(&path) else { return false };
        sealed.pop();
        fs::write(&path, sealed).is_ok()
    }

    async fn swap(&mut self, from: &SealedKey, to: &SealedKey) -> bool {
        fs::copy(self.vault.0.path(from), self.vault.0.path(to)).is_ok()
    }

    async fn reopen(&mut self) {
        self.vault = FileVault::open(self.home.path());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_file_vault_answers_as_memory_does(ops in model::vault::ops(30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let home = tempfile::tempdir().unwrap();
            let vault = FileVault::open(home.path());
            model::vault::compare(ops, &mut Folder { home, vault }).await;
        });
    }
}

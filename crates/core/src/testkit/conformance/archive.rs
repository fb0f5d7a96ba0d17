//! What every archive has to do.

use bytes::Bytes;

use crate::{
    domain::{ContentId, UserId},
    ports::{Archive, ArchiveError, Put},
};

/// Runs every case against an empty archive; `damage` changes the stored bytes of a file behind its back.
pub async fn suite(archive: &dyn Archive, damage: &(dyn Fn(&UserId, ContentId) + Sync)) {
    a_file_is_stored_once_and_comes_back(archive).await;
    users_do_not_see_each_other(archive).await;
    other_bytes_are_refused(archive).await;
    damage_is_told_and_mended(archive, damage).await;
    files_of_any_size_and_user_come_back(archive).await;
    writers_at_once_agree(archive).await;
    a_forgotten_user_has_no_file_and_others_have_theirs(archive).await;
}

fn user(name: &str) -> UserId {
    UserId::new(name).expect("a valid user id")
}

fn file(text: &'static str) -> (ContentId, Bytes) {
    (ContentId::of(text.as_bytes()), Bytes::from_static(text.as_bytes()))
}

async fn a_file_is_stored_once_and_comes_back(archive: &dyn Archive) {
    let (me, (id, bytes)) = (user("me"), file("a ride"));
    assert_eq!(archive.open(&me, id).await, Err(ArchiveError::Missing(id)), "before it is stored");
    assert_eq!(archive.delete(&me, id).await, Ok(()), "deleting what is not there is no error");
    assert_eq!(archive.put(&me, id, bytes.clone()).await, Ok(Put::Created), "the first time");
    assert_eq!(archive.put(&me, id, bytes.clone()).await, Ok(Put::AlreadyThere), "the second time");
    assert_eq!(archive.open(&me, id).await, Ok(bytes), "the same bytes come back");
    assert_eq!(archive.delete(&me, id).await, Ok(()), "deleting");
    assert_eq!(archive.open(&me, id).await, Err(ArchiveError::Missing(id)), "after it was deleted");
}

async fn users_do_not_see_each_other(archive: &dyn Archive) {
    let (me, other, (id, bytes)) = (user("me2"), user("other2"), file("the same ride of two"));
    assert_eq!(archive.put(&me, id, bytes.clone()).await, Ok(Put::Created), "mine");
    assert_eq!(archive.open(&other, id).await, Err(ArchiveError::Missing(id)), "another user has no such file");
    assert_eq!(archive.put(&other, id, bytes.clone()).await, Ok(Put::Created), "nobody learns what others have");
    assert_eq!(archive.delete(&other, id).await, Ok(()), "the other deletes");
    assert_eq!(archive.open(&me, id).await, Ok(bytes), "mine stays");
}

async fn other_bytes_are_refused(archive: &dyn Archive) {
    let (me, (id, _)) = (user("me3"), file("what was promised"));
    let put = archive.put(&me, id, Bytes::from_static(b"what came")).await;
    assert_eq!(put, Err(ArchiveError::Damaged(id)), "bytes that are not what their id says");
    assert_eq!(archive.open(&me, id).await, Err(ArchiveError::Missing(id)), "they are not stored");
}

async fn damage_is_told_and_mended(archive: &dyn Archive, damage: &(dyn Fn(&UserId, ContentId) + Sync)) {
    let (me, (id, bytes)) = (user("me4"), file("a ride that rots"));
    assert_eq!(archive.put(&me, id, bytes.clone()).await, Ok(Put::Created), "storing");
    damage(&me, id);
    assert_eq!(archive.open(&me, id).await, Err(ArchiveError::Damaged(id)), "damage is told, never handed out");
    assert!(archive.put(&me, id, bytes.clone()).await.is_ok(), "a damaged copy is replaced");
    assert_eq!(archive.open(&me, id).await, Ok(bytes), "it is whole again");
}

async fn files_of_any_size_and_user_come_back(archive: &dyn Archive) {
    let long = "z".repeat(128);
    for (name, size) in [("..", 0), (".", 1), (&*long, 3 << 20)] {
        let bytes = Bytes::from(vec![0xfe; size]);
        let id = ContentId::of(&bytes);
        assert_eq!(archive.put(&user(name), id, bytes.clone()).await, Ok(Put::Created), "{size} bytes of {name}");
        assert_eq!(archive.open(&user(name), id).await, Ok(bytes), "{size} bytes of {name}");
    }
}

async fn writers_at_once_agree(archive: &dyn Archive) {
    let (me, (id, bytes)) = (user("me5"), file("ten workers bring this"));
    let puts = futures::future::join_all((0..10).map(|_| archive.put(&me, id, bytes.clone()))).await;
    let created = puts.iter().filter(|put| **put == Ok(Put::Created)).count();
    assert!(puts.iter().all(Result::is_ok), "all writers succeed: {puts:?}");
    assert!(created >= 1, "one made it: {puts:?}");
    assert_eq!(archive.open(&me, id).await, Ok(bytes), "it is whole");
}

async fn a_forgotten_user_has_no_file_and_others_have_theirs(archive: &dyn Archive) {
    // One name begins with the other: a prefix must not take both.
    let (me, other) = (user("leaver"), user("leaver2"));
    let files = [file("the first to go"), file("the second to go")];
    for (id, bytes) in &files {
        assert_eq!(archive.put(&me, *id, bytes.clone()).await, Ok(Put::Created), "mine");
        assert_eq!(archive.put(&other, *id, bytes.clone()).await, Ok(Put::Created), "the other's");
    }
    assert_eq!(archive.forget_user(&me).await, Ok(2), "how many there were");
    assert_eq!(archive.forget_user(&me).await, Ok(0), "none is left");
    for (id, bytes) in files {
        assert_eq!(archive.open(&me, id).await, Err(ArchiveError::Missing(id)), "it is gone");
        assert_eq!(archive.open(&other, id).await, Ok(bytes), "the other's stays");
    }
}

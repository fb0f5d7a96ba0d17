use super::*;
use crate::{
    Code,
    ports::{FileError, Files},
};

fn rider() -> (FakeSource, RemoteAccount, SecretString) {
    let source = FakeSource::default();
    let account = source.account("global", "12");
    let token = source.token(&account, Some(Timestamp::UNIX_EPOCH));
    (source, account, token)
}

#[tokio::test]
async fn pages_hold_twenty_rows_newest_first_and_shift_when_told() {
    let (source, account, token) = rider();
    source.upload_many(&account, 1..46);
    source.upload_after_page(&account, 1, FakeRide::generated(100));
    let access = Access { account: &account, token: &token };
    let ids = |page: ListPage| page.rows.iter().map(|row| row.ride_id.0).collect::<Vec<_>>();
    let first = source.list_page(access, 1).await.unwrap();
    assert_eq!((first.total_pages, first.total_rows), (Some(3), Some(45)));
    assert_eq!(ids(first), (26..=45).rev().collect::<Vec<_>>());
    assert_eq!(ids(source.list_page(access, 2).await.unwrap())[0], 26, "one row came again");
    assert!(source.list_page(access, 9).await.unwrap().rows.is_empty());
    source.delete(&account, RideId(100));
    source.upload(&account, FakeRide { twice: true, ..FakeRide::generated(99) });
    assert_eq!(ids(source.list_page(access, 1).await.unwrap())[..3], [99, 99, 45]);
    assert_eq!(source.take_calls().len(), 4);
}

#[tokio::test]
async fn a_token_opens_its_own_account_only() {
    let (source, account, token) = rider();
    let (other, stranger) = (source.account("global", "13"), source.account("china", "12"));
    let list = async |account: &RemoteAccount| source.list_page(Access { account, token: &token }, 1).await;
    assert!(matches!(list(&other).await, Err(SourceError::WrongMember { .. })));
    assert!(matches!(list(&stranger).await, Err(SourceError::Refused(_))));
    source.also_opens(&token, &stranger);
    assert!(list(&stranger).await.is_ok());
    assert_eq!(source.identify(&token, None).await.unwrap().len(), 2);
    assert_eq!(source.identify(&token, Some("china")).await.unwrap()[0].account, stranger);
    let facts = source.token_facts(&token).unwrap();
    assert_eq!((facts.member.as_str(), facts.ends_at), ("12", Some(Timestamp::UNIX_EPOCH)));
    source.revoke(&token);
    assert!(matches!(list(&account).await, Err(SourceError::Refused(_))));
    assert!(source.token_facts(&SecretString::from("ey.J")).is_err());

    source.password(&account, "a@b.c", "right", None);
    let login = |password: &str| Login { username: "a@b.c".into(), password: SecretString::from(password) };
    assert!(matches!(source.log_in("global", &login("wrong")).await, Err(SourceError::BadPassword(_))));
    let token = source.log_in("global", &login("right")).await.unwrap();
    assert!(source.list_page(Access { account: &account, token: &token }, 1).await.is_ok());
}

#[tokio::test]
async fn files_come_from_where_the_rides_lie_and_fail_when_told() {
    let (source, account, token) = rider();
    source.upload(&account, FakeRide::generated(7));
    let files = source.files();
    let access = Access { account: &account, token: &token };
    let location = source.resolve(access, RideId(7)).await.unwrap().location;
    assert!(matches!(source.resolve(access, RideId(8)).await, Err(SourceError::NotFound(_))));
    source.fail_next(SourceVerb::Resolve, SourceError::NotReady);
    assert_eq!(source.resolve(access, RideId(7)).await, Err(SourceError::NotReady));
    assert!(source.resolve(access, RideId(7)).await.is_ok());

    let again = FileError::Again { failure: Code::FileTimeout.into(), retry_after: None };
    files.fail_next(&account, RideId(7), again.clone());
    assert_eq!(files.open(&location).await, Err(again));
    assert_eq!(files.open(&location).await.ok(), source.bytes(&account, RideId(7)));
    source.delete(&account, RideId(7));
    assert!(matches!(files.open(&location).await, Err(FileError::Gone(_))));
    assert_eq!(files.take_calls().len(), 3);
}

//! Records that fill DynamoDB's pages: 1 MB of a query, 16 MB of a batch, 4 MB of a transaction.

use fitbridge_core::ports::{Change, CommitError, Expect, Key, Ledger, LedgerError, MAX_BATCH, Scope, Write};

use super::emulator::Emulator;

fn key(number: usize) -> Key {
    Key { scope: Scope::System, path: format!("big/{number:03}") }
}

fn put(number: usize) -> Write {
    let body = "b".repeat(256 * 1024);
    Write { key: key(number), expect: Expect::Absent, change: Change::Put { body, due: None, plan: None } }
}

#[tokio::test]
async fn large_records_are_read_page_by_page() {
    let emulator = Emulator::start().await;
    let ledger = emulator.ledger(emulator.table().await, 1);
    for number in 0..MAX_BATCH {
        ledger.commit(vec![put(number)]).await.unwrap();
    }
    let keys: Vec<_> = (0..MAX_BATCH).map(key).collect();
    let found = ledger.get_many(&keys).await.unwrap();
    assert!(found.iter().flatten().map(|record| &record.key).eq(&keys), "25 MB in one call, in order");
    let (mut paths, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = ledger.range(&Scope::System, "big/", after.as_deref(), 1000).await.unwrap();
        paths.extend(page.records.into_iter().map(|record| record.key.path));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(paths.iter().eq(keys.iter().map(|key| &key.path)), "every record once, in order");
    assert!(pages > 20, "pages end at 1 MB, whatever was asked for: {pages}");
    let answer = ledger.commit((200..220).map(put).collect()).await;
    assert!(matches!(answer, Err(CommitError::Ledger(LedgerError::Misuse(_)))), "5 MB at once: {answer:?}");
    ledger.commit((200..214).map(put).collect()).await.expect("3.5 MB at once");
}

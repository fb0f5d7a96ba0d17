use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::testing::{about, attempt, file};

fn target(path: &Path, template: &str) -> SinkTarget {
    let path = path.to_str().unwrap();
    let account = RemoteAccount { service: Service::from_any(SERVICE), realm: String::new(), account: path.into() };
    SinkTarget { account, settings: json!({"path": path, "template": template}), secret: None }
}

async fn deliver(target: &SinkTarget, bytes: &[u8]) -> Outcome {
    Folder::default().deliver(target, &file(bytes), &about(), &attempt(1)).await
}

fn code(outcome: &Outcome) -> Option<Code> {
    match outcome {
        Outcome::Rejected(failure) | Outcome::NeedsReauth(failure) | Outcome::Transient { failure, .. } => {
            Some(failure.code)
        }
        _ => None,
    }
}

#[tokio::test]
async fn a_check_leaves_the_folder_empty_and_makes_none() {
    let root = tempfile::tempdir().unwrap();
    let given = root.path().join("a/../rides");
    fs::create_dir(root.path().join("a")).unwrap();
    let settings = json!({"path": given.to_str().unwrap()});
    let missing = Folder::default().check(&settings, None).await.unwrap_err();
    assert_eq!(missing.failure().code, Code::FolderUnwritable);
    fs::create_dir(root.path().join("rides")).unwrap();
    let identity = Folder::default().check(&settings, None).await.unwrap();
    let real = root.path().canonicalize().unwrap().join("rides");
    let path = real.to_str().unwrap();
    assert_eq!((identity.account.account.as_str(), identity.label.as_str()), (path, path));
    assert_eq!(identity.settings, json!({"path": path, "template": DEFAULT_TEMPLATE}));
    assert_eq!(fs::read_dir(&real).unwrap().count(), 0);
    let again = Folder::default().check(&identity.settings, None).await.unwrap();
    assert_eq!(again, identity);
}

#[tokio::test]
async fn a_check_says_what_is_wrong_with_path_or_template() {
    let root = tempfile::tempdir().unwrap();
    let path = |name: &str| root.path().join(name).to_str().unwrap().to_owned();
    fs::write(root.path().join("file"), b"x").unwrap();
    for (settings, code, says) in [
        (json!({"path": path("no/such")}), Code::FolderUnwritable, "is not there"),
        (json!({"path": path("file")}), Code::FolderUnwritable, "not a folder"),
        (json!({"path": " "}), Code::FolderUnwritable, "no path"),
        (json!({"path": path("x"), "template": "{nme}"}), Code::SinkSettings, "unknown field {nme}; known are {title}"),
        (json!({"path": path("x"), "tmpl": "x"}), Code::SinkSettings, "tmpl"),
        (Value::Null, Code::SinkSettings, ""),
    ] {
        let error = Folder::default().check(&settings, None).await.unwrap_err();
        assert!(matches!(error, SinkError::Settings(_)), "{error:?}");
        assert_eq!(error.failure().code, code);
        assert!(error.to_string().contains(says), "{error}");
    }
    assert!(!root.path().join("x").exists(), "a bad template creates no folder");
}

#[tokio::test]
async fn a_delivery_says_where_the_file_is() {
    let root = tempfile::tempdir().unwrap();
    let target = target(root.path(), "{year}/{id}.fit");
    let remote_id = Some(RemoteId("2025/31827705.fit".into()));
    assert_eq!(deliver(&target, b"one").await, Outcome::Created { remote_id: remote_id.clone() });
    assert_eq!(deliver(&target, b"one").await, Outcome::AlreadyThere { remote_id });
    let Outcome::Created { remote_id: Some(RemoteId(second)) } = deliver(&target, b"two").await else { panic!() };
    let tag = &file(b"two").content.to_string()[..8];
    assert_eq!(second, format!("2025/31827705-{tag}.fit"));
    fs::write(root.path().join(&second), b"other").unwrap();
    assert_eq!(code(&deliver(&target, b"two").await), Some(Code::FolderConflict));
    assert_eq!(fs::read(root.path().join(&second)).unwrap(), b"other");
}

#[tokio::test]
async fn a_missing_folder_is_waited_for() {
    let root = tempfile::tempdir().unwrap();
    let outcome = deliver(&target(&root.path().join("drive"), "{id}"), b"x").await;
    assert!(matches!(outcome, Outcome::Transient { .. }), "{outcome:?}");
    assert_eq!(code(&outcome), Some(Code::FolderUnwritable));
    let outcome = deliver(&target(root.path(), "{id"), b"x").await;
    assert!(matches!(outcome, Outcome::NeedsReauth(_)), "{outcome:?}");
}

#[test]
fn a_full_disk_is_waited_for() {
    let source = io::ErrorKind::StorageFull.into();
    let outcome = outcome(Err(WriteError::Io { what: "a".into(), source }));
    assert!(matches!(&outcome, Outcome::Transient { .. }), "{outcome:?}");
    assert_eq!(code(&outcome), Some(Code::FolderFull));
}

#[test]
fn abandoned_files_are_looked_for_now_and_then() {
    let folder = Folder::default();
    let sweeps = (0..2 * SWEEP_EVERY).filter(|_| folder.sweeps(Path::new("/a"))).count();
    assert_eq!(sweeps, 2);
    assert!(folder.sweeps(Path::new("/b")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_the_title_the_file_lies_in_the_folder(
        title in prop_oneof!["\\PC{0,30}", "[./\\\\~ a\u{0}]{0,30}"],
        template in prop::sample::select(vec!["{title}", "{title}/{title}", "a{title}/../{id}", "{title}/{title}.fit"]),
    ) {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("rides");
        fs::create_dir(&root).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let about = About { name: Some(title), ..about() };
        let outcome =
            runtime.block_on(Folder::default().deliver(&target(&root, template), &file(b"x"), &about, &attempt(1)));
        match outcome {
            Outcome::Created { remote_id: Some(RemoteId(path)) } => {
                let real = root.join(&path).canonicalize().unwrap();
                prop_assert!(real.starts_with(root.canonicalize().unwrap()), "{:?}", real);
                prop_assert_eq!(fs::read(real).unwrap(), b"x");
            }
            other => prop_assert_eq!(code(&other), Some(Code::SinkSettings)),
        }
        prop_assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    }
}

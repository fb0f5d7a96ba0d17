//! Everything that lies below a folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every file below a folder, by its path there, with its bytes; folders end in a slash and hold none.
pub type Tree = BTreeMap<String, Vec<u8>>;

/// Reads a folder; empty where there is none.
///
/// # Panics
/// When something there cannot be read.
#[must_use]
pub fn tree_of(folder: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut open: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&path) else { continue };
        for entry in entries {
            let entry = entry.expect("a folder's entry").path();
            let name = entry.strip_prefix(folder).expect("below the folder").to_string_lossy().into_owned();
            if entry.is_dir() {
                tree.insert(format!("{name}/"), Vec::new());
                open.push(entry);
            } else {
                match std::fs::read(&entry) {
                    Ok(bytes) => drop(tree.insert(name, bytes)),
                    // A program that still runs takes its temporary files away between listing and reading.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                    Err(error) => panic!("{}: {error}", entry.display()),
                }
            }
        }
    }
    tree
}

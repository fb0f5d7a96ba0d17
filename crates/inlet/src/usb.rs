//! Head units that are plugged in and show up as a disk.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::name::shown;

/// Where Linux tells what is mounted.
const MOUNT_TABLE: &str = "/proc/self/mountinfo";
/// Where macOS mounts disks.
const VOLUMES: &str = "/Volumes";
/// File systems that head units and their cards carry, and those under which desktops show them.
const REMOVABLE_SYSTEMS: [&str; 7] = ["vfat", "exfat", "msdos", "fuseblk", "ntfs3", "hfsplus", "fuse.exfat"];
/// Where desktops mount what is plugged in.
const REMOVABLE_PLACES: [&str; 4] = ["/media/", "/run/media/", "/mnt/", "/Volumes/"];
/// The file system under which GNOME shows devices that speak MTP instead of being a disk.
const GVFS: &str = "fuse.gvfsd-fuse";
/// Where head units keep their rides, in lower case; compared without regard to case.
const RIDE_FOLDERS: [&[&str]; 8] = [
    &["activities"],
    &["activity"],
    &["fit"],
    &["igpsport", "activities"],
    &["igpsport", "activity"],
    &["igpsport", "fit"],
    &["garmin", "activities"],
    &["garmin", "activity"],
];

/// A head unit that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The volume's name.
    pub name: String,
    /// Its folders of rides; at least one.
    pub folders: Vec<PathBuf>,
}

/// Why there is no unit to read from.
#[derive(Debug, thiserror::Error)]
pub enum UsbError {
    /// The mount table cannot be read.
    #[error("what is mounted cannot be found out ({0}); give the folder: `fitbridge import /path/to/Activities`")]
    Table(#[source] io::Error),
    /// No mounted volume has a folder of rides.
    #[error(
        "no head unit was found; plug it in, switch it on and wait until it shows up as a disk, or give the folder: \
         `fitbridge import /path/to/Activities`"
    )]
    None,
    /// Several have one.
    #[error("several head units were found; unplug all but one, or give the folder: {0}")]
    Several(String),
}

/// The one head unit that is plugged in.
///
/// # Errors
/// [`UsbError`], each with what to do.
pub fn find() -> Result<Unit, UsbError> {
    choose(units(&mount_points().map_err(UsbError::Table)?))
}

/// The only one of `units`.
pub fn choose(mut units: Vec<Unit>) -> Result<Unit, UsbError> {
    match units.len() {
        0 => Err(UsbError::None),
        1 => Ok(units.remove(0)),
        _ => {
            let commands: Vec<String> = units
                .iter()
                .flat_map(|unit| &unit.folders)
                .map(|folder| format!("`fitbridge import '{}'`", shown(folder)))
                .collect();
            Err(UsbError::Several(commands.join(" or ")))
        }
    }
}

/// The volumes among `mount_points` that have a folder of rides. Volumes that cannot be read are passed over: a
/// head unit that is plugged in can be.
pub fn units(mount_points: &[PathBuf]) -> Vec<Unit> {
    let unit = |point: &PathBuf| {
        let mut folders: Vec<PathBuf> = RIDE_FOLDERS
            .iter()
            .filter_map(|names| names.iter().try_fold(point.clone(), |at, name| child(&at, name)))
            .collect();
        folders.sort_unstable();
        folders.dedup();
        let name = point.file_name().map_or_else(|| shown(point), |name| shown(Path::new(name)));
        (!folders.is_empty()).then_some(Unit { name, folders })
    };
    mount_points.iter().filter_map(unit).collect()
}

/// The folder in `folder` of that name, in any case of letters.
fn child(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|own| own.to_string_lossy().eq_ignore_ascii_case(name)))
        .filter(|path| path.is_dir())
        .collect();
    found.sort_unstable();
    found.into_iter().next()
}

/// Where removable volumes are mounted now.
fn mount_points() -> io::Result<Vec<PathBuf>> {
    match fs::read(MOUNT_TABLE) {
        Ok(table) => Ok(removable(&table).into_iter().flat_map(volumes).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(children(Path::new(VOLUMES))?),
        Err(error) => Err(error),
    }
}

/// A removable mount as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mount {
    point: PathBuf,
    is_gvfs: bool,
}

/// The volumes behind a mount: itself, or each storage of each device that a desktop shows under one mount.
fn volumes(mount: Mount) -> Vec<PathBuf> {
    if !mount.is_gvfs {
        return vec![mount.point];
    }
    let listed = |folder: &Path| children(folder).unwrap_or_default();
    listed(&mount.point).iter().flat_map(|device| listed(device)).collect()
}

fn children(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    found.sort_unstable();
    Ok(found)
}

/// The mounts in a table of Linux (see `proc_pid_mountinfo(5)`) that look like something plugged in.
///
/// A line: ids, device, root, mount point, options, optional fields up to a lone `-`, file system, source, options.
fn removable(table: &[u8]) -> Vec<Mount> {
    let mut mounts: Vec<Mount> = Vec::new();
    for line in table.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b' ');
        let Some(point) = fields.nth(4) else { continue };
        let Some(system) = fields.by_ref().skip_while(|field| *field != b"-").nth(1) else { continue };
        let Some(source) = fields.next() else { continue };
        let system = String::from_utf8_lossy(system);
        let point = unescaped(point);
        let text = point.to_string_lossy();
        let is_gvfs = system == GVFS;
        let is_plugged = REMOVABLE_SYSTEMS.contains(&system.as_ref())
            || REMOVABLE_PLACES.iter().any(|place| text.starts_with(place) && source.starts_with(b"/dev/"));
        let is_boot = text == "/" || text == "/boot" || text.starts_with("/boot/") || text.starts_with("/efi");
        if (is_plugged && !is_boot) || is_gvfs {
            let mount = Mount { point, is_gvfs };
            // The same place mounted over: the table lists both.
            if !mounts.contains(&mount) {
                mounts.push(mount);
            }
        }
    }
    mounts
}

/// A field of the table: blanks, tabs, newlines and backslashes stand in it as three octal digits.
fn unescaped(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| after.first_chunk::<3>()).flatten().and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        match octal {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    path_of(bytes)
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
22 28 0:20 / /sys rw,nosuid,nodev shared:7 - sysfs sysfs rw
28 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
91 28 259:1 / /boot/efi rw,relatime shared:31 - vfat /dev/nvme0n1p1 rw
412 28 8:17 / /media/me/iGPSPORT\\040BSC\\134300 rw,nosuid shared:220 master:5 - vfat /dev/sdb1 rw,uid=1000
413 28 8:33 / /run/media/me/Karte\\011\xc3\xa4 rw - ext4 /dev/sdc1 rw
414 28 0:52 / /mnt/nas rw - nfs4 nas:/rides rw
415 28 0:53 / /run/user/1000/gvfs rw - fuse.gvfsd-fuse gvfsd-fuse rw
412 28 8:17 / /media/me/iGPSPORT\\040BSC\\134300 rw,nosuid - vfat /dev/sdb1 rw
broken line
";

    #[test]
    fn the_table_is_read_with_its_escapes() {
        let mount = |point: &str, is_gvfs| Mount { point: point.into(), is_gvfs };
        assert_eq!(
            removable(TABLE),
            [
                mount("/media/me/iGPSPORT BSC\\300", false),
                mount("/run/media/me/Karte\tä", false),
                mount("/run/user/1000/gvfs", true),
            ]
        );
        assert_eq!(unescaped(b"a\\04"), Path::new("a\\04"));
        assert_eq!(unescaped(b"a\\999b\\"), Path::new("a\\999b\\"));
    }

    #[test]
    fn units_are_known_by_their_folders_in_any_case() {
        let root = tempfile::tempdir().expect("a folder");
        let make = |path: &str| fs::create_dir_all(root.path().join(path)).expect("made");
        make("My Unit/IGPSport/ACTIVITIES");
        make("My Unit/fit");
        make("Camera/DCIM");
        fs::write(root.path().join("Camera/Fit"), "a file, no folder").expect("written");
        let points: Vec<PathBuf> = ["Camera", "My Unit", "gone"].map(|name| root.path().join(name)).into();
        let found = units(&points);
        let unit = root.path().join("My Unit");
        assert_eq!(
            found,
            [Unit { name: "My Unit".into(), folders: vec![unit.join("IGPSport/ACTIVITIES"), unit.join("fit")] }]
        );
        assert_eq!(choose(found).expect("the only one").name, "My Unit");
    }

    #[test]
    fn none_and_several_say_what_to_do() {
        let unit = |name: &str| Unit { name: name.into(), folders: vec![Path::new("/media/me").join(name)] };
        let none = choose(Vec::new()).expect_err("none").to_string();
        assert!(none.contains("plug it in") && none.contains("fitbridge import"), "{none}");
        let several = choose(vec![unit("a"), unit("b c")]).expect_err("two").to_string();
        assert!(
            several.contains("`fitbridge import '/media/me/a'` or `fitbridge import '/media/me/b c'`"),
            "{several}"
        );
    }

    #[test]
    fn a_desktops_devices_are_looked_through() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(root.path().join("mtp:host=Unit/Internal storage/Garmin/Activity")).expect("made");
        let points = volumes(Mount { point: root.path().to_path_buf(), is_gvfs: true });
        assert_eq!(units(&points).len(), 1);
        assert_eq!(volumes(Mount { point: "/gone".into(), is_gvfs: true }), Vec::<PathBuf>::new());
    }
}

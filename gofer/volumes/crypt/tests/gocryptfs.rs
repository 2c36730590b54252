//! Volumes of Debian's `gocryptfs`, read here, and volumes made here, checked and read by it.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use gofer_crypt::format::{
    CONFIG, Config, ContentCipher, DIR_IV, DirIv, Entry, Features, FileId, HEADER_LEN, Keys, NameEncryption, NewConfig,
    Stored,
};
use tempfile::TempDir;

use common::eme;
use common::stored::{as_path, dir_iv, encrypted};

/// Sizes around every kind of boundary.
const SIZES: [usize; 8] = [0, 1, 4095, 4096, 4097, 8192, 3 * 4096 + 1, 70 * 4096 + 5];

/// Whether the test can run; says loudly if it cannot.
fn has_gocryptfs() -> bool {
    let found = Command::new("gocryptfs").arg("-version").stdout(Stdio::null()).status().is_ok();
    let can_mount = Path::new("/dev/fuse").exists();
    if !found || !can_mount {
        eprintln!("SKIPPED: needs gocryptfs (cargo xtask setup installs it) and /dev/fuse");
    }
    found && can_mount
}

fn gocryptfs(arguments: &[&str], volume: &Path) -> Command {
    let mut command = Command::new("gocryptfs");
    command.args(["-quiet", "-nosyslog", "-extpass", "echo secret"]).args(arguments).arg(volume);
    command
}

fn succeed(command: &mut Command) {
    // No pipes: the mount's process would keep them open.
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}

/// Mounts `volume`, calls `work` there, unmounts.
fn mounted(volume: &Path, work: impl FnOnce(&Path)) {
    let mount = TempDir::new().unwrap();
    succeed(gocryptfs(&[], volume).arg(mount.path()));
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(mount.path())));
    succeed(Command::new("fusermount3").arg("-u").arg(mount.path()));
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// The names of some files: of all lengths, and no UTF-8.
fn names() -> Vec<Vec<u8>> {
    (1..=255_usize).map(|len| vec![if len.is_multiple_of(2) { b'x' } else { 0xfe }; len]).collect()
}

fn content(len: usize) -> Vec<u8> {
    (0..251).cycle().take(len).collect()
}

fn keys(volume: &Path) -> Keys {
    let config = Config::parse(&fs::read(volume.join(CONFIG)).unwrap()).unwrap();
    config.unlock(&common::password()).unwrap().keys(&config)
}

/// Decrypts a whole file.
fn decrypted(keys: &Keys, mut file: Vec<u8>) -> Vec<u8> {
    if file.is_empty() {
        return file;
    }
    let id = FileId::parse(&file).unwrap();
    let content = &keys.content;
    let plain = content.layout().plain_size(file.len() as u64);
    let blocks = &mut file[HEADER_LEN..];
    content.open_blocks(blocks, 0, id).unwrap();
    let tag = content.overhead() - content.nonce();
    let plain_blocks = blocks.chunks(content.block()).flat_map(|block| &block[content.nonce()..block.len() - tag]);
    let bytes: Vec<u8> = plain_blocks.copied().collect();
    assert_eq!(bytes.len() as u64, plain);
    bytes
}

#[test]
fn volumes_of_gocryptfs_are_read() {
    if !has_gocryptfs() {
        return;
    }
    for options in [&[][..], &["-xchacha"], &["-plaintextnames"], &["-deterministic-names"], &["-longnamemax", "62"]] {
        let volume = TempDir::new().unwrap();
        succeed(&mut gocryptfs(&[&["-init", "-scryptn", "10"], options].concat(), volume.path()));
        mounted(volume.path(), |mount| {
            for name in names() {
                fs::write(mount.join(as_path(&name)), content(SIZES[name.len() % SIZES.len()])).unwrap();
            }
            std::os::unix::fs::symlink("to/somewhere", mount.join("link")).unwrap();
        });
        let (keys, mut found) = (keys(volume.path()), Vec::new());
        let iv = dir_iv(&keys, volume.path());
        for entry in fs::read_dir(volume.path()).unwrap() {
            let entry = entry.unwrap();
            let raw = entry.file_name().into_encoded_bytes();
            let name = match keys.names.classify(&raw) {
                _ if raw == CONFIG.as_bytes() => continue,
                Entry::DirIv | Entry::LongName(_) => continue,
                Entry::Name(name) => keys.names.load(name, &iv).unwrap(),
                Entry::Long(long) => {
                    let full = fs::read(volume.path().join(as_path(&Entry::name_file(long)))).unwrap();
                    keys.names.load_long(long, &full, &iv).unwrap()
                }
            };
            if entry.file_type().unwrap().is_symlink() {
                let target = fs::read_link(entry.path()).unwrap().into_os_string().into_encoded_bytes();
                assert_eq!(keys.target_size(target.len() as u64), 12);
                assert_eq!(keys.load_target(target).unwrap(), b"to/somewhere");
                continue;
            }
            let bytes = decrypted(&keys, fs::read(entry.path()).unwrap());
            assert!(bytes == content(SIZES[name.len() % SIZES.len()]), "{options:?} {}", name.len());
            found.push(name.to_vec());
        }
        found.sort_by_key(Vec::len);
        assert!(found == names(), "{options:?}");
    }
}

#[test]
fn volumes_made_here_are_read_by_gocryptfs() {
    if !has_gocryptfs() {
        return;
    }
    for (content_cipher, name_encryption) in [
        (ContentCipher::AesGcm, eme(true, 255)),
        (ContentCipher::XChaCha20Poly1305, eme(true, 62)),
        (ContentCipher::AesGcm, eme(false, 255)),
        (ContentCipher::XChaCha20Poly1305, NameEncryption::Plain),
    ] {
        let volume = TempDir::new().unwrap();
        let features = Features { content: content_cipher, names: name_encryption };
        let password = common::password();
        let (config, _) = Config::create(&NewConfig { features, scrypt_n: 10 }, &password).unwrap();
        fs::write(volume.path().join(CONFIG), config.to_json()).unwrap();
        let keys = keys(volume.path());
        if keys.names.have_dir_ivs() {
            fs::write(volume.path().join(as_path(DIR_IV)), DirIv::random().as_bytes()).unwrap();
        }
        let iv = dir_iv(&keys, volume.path());
        for name in names() {
            let stored = keys.names.store(&name, &iv).unwrap();
            let bytes = encrypted(&keys, &content(SIZES[name.len() % SIZES.len()]));
            fs::write(volume.path().join(as_path(stored.entry())), bytes).unwrap();
            if let Stored::Long { content, full } = &stored {
                fs::write(volume.path().join(as_path(&Entry::name_file(content))), full).unwrap();
            }
        }
        let target = String::from_utf8(keys.store_target(b"to/somewhere").unwrap()).unwrap();
        let link = keys.names.store(b"link", &iv).unwrap();
        std::os::unix::fs::symlink(target, volume.path().join(as_path(link.entry()))).unwrap();
        fs::set_permissions(volume.path(), fs::Permissions::from_mode(0o700)).unwrap();

        succeed(&mut gocryptfs(&["-fsck"], volume.path()));
        mounted(volume.path(), |mount| {
            for name in names() {
                let bytes = fs::read(mount.join(as_path(&name))).unwrap();
                assert!(bytes == content(SIZES[name.len() % SIZES.len()]), "{features:?} {}", name.len());
            }
            assert_eq!(fs::read_link(mount.join("link")).unwrap(), Path::new("to/somewhere"));
            assert_eq!(fs::read_dir(mount).unwrap().count(), names().len() + 1);
        });
    }
}

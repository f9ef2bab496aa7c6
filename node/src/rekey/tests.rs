//! Every state in which a change of the storage key can be left, and what must never be destroyed in it.

use std::{
    io::Write as _,
    os::unix::fs::{OpenOptionsExt as _, symlink},
};

use super::*;

const NETWORK: NetworkId = NetworkId::new([1; 32]);
const OLD: [u8; 32] = [9; 32];
const COUNT: u8 = 3;

/// A validator's directory with some secrets, and a change of its key that is about to begin. The key's file is longer than
/// one that this program writes.
fn before(directory: &Path) -> Rekey {
    let key = directory.join("storage.key");
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key);
    writeln!(file.unwrap(), "   0x{}  ", hex::encode(OLD)).unwrap();
    let rekey = again(directory);
    let files = under(&rekey, OLD);
    (0..COUNT).for_each(|i| files.put(&name(i), &[i; 32]).unwrap());
    rekey
}

fn again(directory: &Path) -> Rekey {
    by(directory, geteuid().as_raw()).unwrap()
}

fn by(directory: &Path, user: u32) -> Result<Rekey, RekeyError> {
    let (secrets, key) = (directory.join("secrets"), directory.join("storage.key"));
    Rekey::of(NETWORK, secrets, &key, &directory.join("db"), user)
}

fn name(i: u8) -> String {
    format!("share-{i}-0")
}

fn under(rekey: &Rekey, key: [u8; 32]) -> SecretFiles {
    SecretFiles::open(&rekey.directory, &NETWORK, &Zeroizing::new(key)).unwrap()
}

fn in_force(rekey: &Rekey) -> [u8; 32] {
    *keys::read_storage_key(&rekey.key).unwrap()
}

/// Everything is under another key, and of the old one there is nothing.
fn assert_over(directory: &Path, witness: &Path) {
    let rekey = again(directory);
    let key = in_force(&rekey);
    assert_ne!(key, OLD);
    let all = under(&rekey, key).all().unwrap();
    let expected = (0..COUNT).map(|i| (name(i), Zeroizing::new([i; 32])));
    assert_eq!(all, expected.collect::<Vec<_>>());
    assert!(matches!(under(&rekey, OLD).all(), Err(SecretsError::Sealed { .. })));
    assert!(!rekey.next.exists() && !rekey.old.exists());
    let left = fs::read(witness).unwrap();
    assert_eq!(left, [0; 3 + 2 + 64 + 3], "its bytes are gone, whatever names it had");
}

/// What a broken-off run has left is gone on with, to the end.
fn end(directory: &Path) {
    let rekey = again(directory);
    rekey.finish().unwrap();
    assert_eq!(*keys::read_storage_key(&rekey.old).unwrap(), OLD, "it is there until a backup is");
    assert_eq!(leftover(&rekey.key).as_ref(), Some(&rekey.old));
    assert_eq!(rekey.erase_old().unwrap(), usize::from(COUNT));
    assert_eq!(leftover(&rekey.key), None);
}

#[test]
fn a_crash_after_any_step_loses_nothing_and_the_next_run_ends_it() {
    let steps = usize::from(COUNT) + 3;
    for done in 0..=steps {
        let directory = tempfile::tempdir().unwrap();
        let (path, witness) = (directory.path(), directory.path().join("witness"));
        let rekey = before(path);
        fs::hard_link(&rekey.key, &witness).unwrap();
        for i in 0..done {
            let step = rekey.step().unwrap();
            let expected = match i {
                0 => Step::Linked,
                1 => Step::Drawn,
                _ if i + 1 == steps => Step::Replaced,
                _ => Step::Resealed,
            };
            assert_eq!(step, expected, "what may be impossible comes before what is sealed again");
        }
        if done < steps {
            let early = rekey.erase_old();
            assert!(matches!(early, Err(RekeyError::NotOver { .. } | RekeyError::NoOld { .. })));
            assert_eq!(in_force(&rekey), OLD, "after {done} steps");
            drop(rekey);
            end(path);
        } else {
            // The one state in which there is nothing to go on with, whether it was told or not.
            let key = in_force(&rekey);
            assert!(matches!(rekey.finish(), Err(RekeyError::OldIsThere { .. })));
            assert_eq!(in_force(&rekey), key, "nothing was changed");
            // Broken off while it was overwritten.
            let length = fs::metadata(&rekey.old).unwrap().len();
            let file = OpenOptions::new().write(true).open(&rekey.old);
            file.unwrap().write_all(&[0; 9]).unwrap();
            assert_eq!(fs::metadata(&rekey.old).unwrap().len(), length);
            assert_eq!(rekey.erase_old().unwrap(), usize::from(COUNT));
            assert!(matches!(rekey.erase_old(), Err(RekeyError::NoOld { .. })));
        }
        assert_over(path, &witness);
    }
}

#[test]
fn what_a_node_has_kept_between_the_steps_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let rekey = before(directory.path());
    for _ in 0..COUNT + 2 {
        assert_ne!(rekey.step().unwrap(), Step::Replaced);
    }
    under(&rekey, OLD).put("share-9-0", &[9; 32]).unwrap();
    assert_eq!(rekey.finish().unwrap(), 1);
    let all = under(&rekey, in_force(&rekey)).all().unwrap();
    assert_eq!(all.len(), usize::from(COUNT) + 1);
}

#[test]
fn a_key_that_was_half_written_is_drawn_again_and_one_that_was_put_there_is_taken() {
    for text in ["07".to_owned(), format!("{}\n", hex::encode([7; 32]))] {
        let directory = tempfile::tempdir().unwrap();
        let witness = directory.path().join("witness");
        let rekey = before(directory.path());
        fs::hard_link(&rekey.key, &witness).unwrap();
        keys::write(&rekey.next, &[7; 32]).unwrap();
        fs::write(&rekey.next, &text).unwrap();
        drop(rekey);
        end(directory.path());
        assert_over(directory.path(), &witness);
        assert_eq!(in_force(&again(directory.path())) == [7; 32], text.len() > 64);
    }
}

#[test]
fn the_key_in_force_is_no_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let rekey = before(directory.path());
    fs::copy(&rekey.key, &rekey.next).unwrap();
    assert!(matches!(rekey.finish(), Err(RekeyError::SameKey { .. })));
    fs::remove_file(&rekey.next).unwrap();
    drop(rekey);
    end(directory.path());
}

#[test]
fn secrets_of_neither_key_stop_it_before_anything_is_changed() {
    let directory = tempfile::tempdir().unwrap();
    let rekey = before(directory.path());
    under(&rekey, [8; 32]).put(&name(1), &[1; 32]).unwrap();
    let refused = rekey.finish();
    assert!(matches!(refused, Err(RekeyError::Secret(SecretsError::Sealed { .. }))));
    assert!(!rekey.next.exists() && !rekey.old.exists());
    // And if it comes to it later, both keys stay.
    keys::write(&rekey.next, &[7; 32]).unwrap();
    let refused = rekey.finish();
    assert!(matches!(refused, Err(RekeyError::Secret(SecretsError::Sealed { .. }))));
    assert_eq!(in_force(&rekey), OLD);
    assert!(rekey.next.exists(), "what is under it is not lost");
}

#[test]
fn a_key_that_was_changed_by_hand_never_costs_the_only_one_that_opens_the_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let rekey = before(directory.path());
    fs::rename(&rekey.key, &rekey.old).unwrap();
    keys::write(&rekey.key, &[7; 32]).unwrap();
    for done in [rekey.finish(), rekey.erase_old()] {
        let refused = done.unwrap_err();
        assert!(matches!(&refused, RekeyError::OldIsNeeded { .. }), "{refused}");
        assert_eq!(*keys::read_storage_key(&rekey.old).unwrap(), OLD);
        assert_eq!(in_force(&rekey), [7; 32]);
        assert!(!rekey.next.exists());
    }
    fs::rename(&rekey.old, &rekey.key).unwrap();
    drop(rekey);
    end(directory.path());
}

/// A backup under that name, or the key restored as a copy in the middle of a change: nothing is freed without being erased.
#[test]
fn an_old_key_that_is_not_the_one_in_force_stops_a_change_and_is_left_alone() {
    for is_begun in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let rekey = before(directory.path());
        if is_begun {
            (0..3).for_each(|_| assert_ne!(rekey.step().unwrap(), Step::Replaced));
            fs::remove_file(&rekey.old).unwrap();
        }
        fs::copy(&rekey.key, &rekey.old).unwrap();
        assert!(matches!(rekey.finish(), Err(RekeyError::OldIsThere { .. })));
        assert_eq!(*keys::read_storage_key(&rekey.old).unwrap(), OLD);
        assert_eq!(in_force(&rekey), OLD);
        if is_begun {
            assert!(matches!(rekey.erase_old(), Err(RekeyError::NotOver { .. })));
        }
        fs::remove_file(&rekey.old).unwrap();
        drop(rekey);
        end(directory.path());
    }
}

#[test]
fn a_key_behind_a_link_stays_where_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (path, medium) = (directory.path(), directory.path().join("medium"));
    drop(before(path));
    let (link, file) = (path.join("storage.key"), medium.join("the.key"));
    fs::create_dir(&medium).unwrap();
    fs::rename(&link, &file).unwrap();
    symlink("medium/the.key", &link).unwrap();
    let witness = path.join("witness");
    fs::hard_link(&file, &witness).unwrap();
    end(path);
    assert_over(path, &witness);
    assert_eq!(fs::read_link(&link).unwrap(), Path::new("medium/the.key"));
    assert_ne!(*keys::read_storage_key(&file).unwrap(), OLD);
    let count = |directory: &Path| fs::read_dir(directory).unwrap().count();
    assert_eq!((count(&medium), count(path)), (1, 5), "and nothing else is left anywhere");
}

#[test]
fn nobody_but_the_keys_owner_changes_it() {
    let directory = tempfile::tempdir().unwrap();
    drop(before(directory.path()));
    let (owner, other) = (geteuid().as_raw(), geteuid().as_raw() + 1);
    let refused = by(directory.path(), other).unwrap_err();
    let expected = |user| matches!(&refused, RekeyError::OtherUser { owner: o, user: u, .. } if (*o, *u) == (owner, user));
    assert!(expected(other), "{refused}");
}

/// Where a second name is impossible nothing has been done; so it is on a file system without them.
#[test]
fn a_key_without_a_second_name_is_left_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let rekey = before(directory.path());
    // No link can be made into a directory that is gone.
    let rekey = Rekey { old: directory.path().join("gone/storage.key.old"), ..rekey };
    assert!(matches!(rekey.finish(), Err(RekeyError::NoSecondName { .. })));
    assert!(!rekey.next.exists());
    assert_eq!(under(&rekey, OLD).all().unwrap().len(), usize::from(COUNT));
}

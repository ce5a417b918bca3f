//! Random sequences of operations against a model of a few lines.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 3] = ["/a", "/b", "/c"];
const USERS: [&str; 2] = ["alice", "bob"];
const QUOTA_BYTES: u64 = 60;

#[derive(Clone, Debug)]
enum Step {
    Upload { user: usize, name: usize, at: Option<u64>, bytes: usize, end: End },
    Remove { user: usize, name: usize },
    Rename { user: usize, from: usize, to: usize },
    Restart { crash: bool },
    Scan,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Commit,
    Interrupt,
    Drop,
}

fn step() -> impl Strategy<Value = Step> {
    let (user, name) = (|| 0..USERS.len(), || 0..NAMES.len());
    let end = prop_oneof![Just(End::Commit), Just(End::Interrupt), Just(End::Drop)];
    prop_oneof![
        6 => (user(), name(), proptest::option::of(0..30_u64), 0..20_usize, end)
            .prop_map(|(user, name, at, bytes, end)| Step::Upload { user, name, at, bytes, end }),
        2 => (user(), name()).prop_map(|(user, name)| Step::Remove { user, name }),
        2 => (user(), name(), name()).prop_map(|(user, from, to)| Step::Rename { user, from, to }),
        1 => any::<bool>().prop_map(|crash| Step::Restart { crash }),
        1 => Just(Step::Scan),
    ]
}

#[derive(Default)]
struct Model {
    files: BTreeMap<usize, Vec<u8>>,
    partials: BTreeMap<(usize, usize), Vec<u8>>,
}

impl Model {
    /// What an upload at an offset (none: at the end) starts from.
    fn start(&self, user: usize, name: usize, at: Option<u64>) -> Option<Vec<u8>> {
        let there = self.partials.get(&(user, name)).or(self.files.get(&name));
        match (at, there) {
            (Some(0), _) | (None, None) => Some(Vec::new()),
            (None, Some(content)) => Some(content.clone()),
            (Some(at), Some(content)) => content.get(..usize::try_from(at).unwrap()).map(<[u8]>::to_vec),
            (Some(_), None) => None,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_the_model_does(steps in prop::collection::vec(step(), 1..40)) {
        let mut home = Home::new();
        let mut model = Model::default();
        let mut mark = 0_u8;
        for step in steps {
            match step {
                Step::Upload { user, name: file, at, bytes, end } => {
                    let mode = at.map_or(UploadMode::Append, UploadMode::ResumeAt);
                    let uploader =
                        Uploader { name: name(USERS[user]), quota_bytes: Some(QUOTA_BYTES), quota_files: None };
                    let claim = home.root.claim_upload(all(NAMES[file]), &uploader, mode, None);
                    let Some(mut content) = model.start(user, file, at) else {
                        prop_assert_eq!(claim.err(), Some(Fault::OffsetBeyondEnd));
                        continue;
                    };
                    if claim.as_ref().err() == Some(&Fault::QuotaExceeded) {
                        prop_assert!(home.root.ledger.used().unwrap().bytes >= QUOTA_BYTES);
                        continue;
                    }
                    let continues = at != Some(0) && model.partials.contains_key(&(user, file));
                    let mut upload = claim.unwrap().begin().unwrap();
                    prop_assert_eq!(upload.offset(), content.len() as u64);
                    if continues {
                        model.partials.remove(&(user, file));
                    }
                    mark = mark.wrapping_add(1);
                    let chunk = vec![mark; bytes];
                    let written = upload.write(&chunk);
                    if written.is_ok() {
                        content.extend_from_slice(&chunk);
                    } else {
                        prop_assert_eq!(written, Err(Fault::QuotaExceeded));
                    }
                    let grew = written.is_ok() && bytes > 0;
                    match end {
                        End::Commit => {
                            prop_assert_eq!(upload.commit().unwrap().size, content.len() as u64);
                            model.partials.remove(&(user, file));
                            model.files.insert(file, content);
                        }
                        End::Interrupt => {
                            let kept = upload.interrupt().unwrap();
                            if content.is_empty() || !(grew || continues) {
                                prop_assert_eq!(kept.size, 0);
                            } else {
                                prop_assert_eq!(kept.size, content.len() as u64);
                                model.partials.insert((user, file), content);
                            }
                        }
                        End::Drop => {
                            let offset = usize::try_from(upload.offset()).unwrap();
                            drop(upload);
                            if continues {
                                content.truncate(offset);
                                model.partials.insert((user, file), content);
                            }
                        }
                    }
                }
                Step::Remove { user, name: file } => {
                    let partial = model.partials.remove(&(user, file)).is_some();
                    let known = model.files.remove(&file).is_some() || partial;
                    let removed = home.root.remove_file(&all(NAMES[file]), &name(USERS[user]));
                    prop_assert_eq!(removed, if known { Ok(()) } else { Err(Fault::NotFound) });
                }
                Step::Rename { user, from, to } => {
                    let renamed = home.root.rename(&all(NAMES[from]), &all(NAMES[to]), &name(USERS[user]));
                    let expected = if !model.files.contains_key(&from) {
                        Err(Fault::NotFound)
                    } else if from == to {
                        Ok(())
                    } else if model.partials.contains_key(&(user, from)) {
                        Err(Fault::Busy)
                    } else {
                        let content = model.files.remove(&from).unwrap();
                        model.files.insert(to, content);
                        model.partials.remove(&(user, to));
                        Ok(())
                    };
                    prop_assert_eq!(renamed, expected);
                }
                Step::Restart { crash } => {
                    let counted = home.root.used().is_some();
                    home = if crash { home.restarted(SETTINGS) } else { home.stopped_and_restarted(SETTINGS) };
                    prop_assert!(crash || home.root.used().is_some() == counted);
                }
                Step::Scan => {
                    let counted = home.root.used();
                    prop_assert_eq!(home.root.recount(), Ok(None));
                    prop_assert!(counted.is_none() || counted == home.root.used());
                }
            }
            if let Some(used) = home.root.used() {
                let lengths = || model.files.values().chain(model.partials.values()).map(|content| content.len() as u64);
                prop_assert_eq!(used, Usage { bytes: lengths().sum(), files: lengths().count() as u64 });
            }
            for (file, path) in NAMES.iter().enumerate() {
                prop_assert_eq!(home.read(&path[1..]), model.files.get(&file).cloned());
                for (user, word) in USERS.iter().enumerate() {
                    let seen = home.facts(path, word).ok().map(|entry| (entry.size, entry.partial));
                    let partial = model.partials.get(&(user, file)).map(|content| (content.len() as u64, true));
                    let whole = model.files.get(&file).map(|content| (content.len() as u64, false));
                    prop_assert_eq!(seen, partial.or(whole));
                }
            }
            let parts_and_records = model.partials.len().saturating_mul(2);
            prop_assert_eq!(home.staged().len(), parts_and_records);
        }
    }
}

//! Watch responses that come in pieces, joined: a piece may end in the middle of a transaction.

use std::collections::HashMap;

use etcd_client::proto::PbEvent;

/// What the pieces of each watcher are so far, and their size in bytes.
#[derive(Default)]
pub(super) struct Fragments(HashMap<i64, (Vec<PbEvent>, usize)>);

/// What is known after one more piece.
pub(super) enum Joined {
    Whole(Vec<PbEvent>),
    /// More is to come.
    Part,
    TooLarge,
}

impl Fragments {
    /// Adds the events of one response of `watcher`, of which `more` come if it is a fragment; all of them are to be of at
    /// most `limit` bytes.
    pub(super) fn join(&mut self, watcher: i64, more: bool, events: Vec<PbEvent>, limit: usize) -> Joined {
        let (mut all, mut size) = match self.0.remove(&watcher) {
            None if !more => return Joined::Whole(events),
            begun => begun.unwrap_or_default(),
        };
        size += events.iter().map(size_of).sum::<usize>();
        all.extend(events);
        match more {
            _ if size > limit => Joined::TooLarge,
            false => Joined::Whole(all),
            true => {
                self.0.insert(watcher, (all, size));
                Joined::Part
            }
        }
    }

    /// The rest will not come.
    pub(super) fn forget(&mut self, watcher: i64) {
        self.0.remove(&watcher);
    }
}

fn size_of(event: &PbEvent) -> usize {
    event.kv.as_ref().map_or(0, |kv| kv.key.len() + kv.value.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use etcd_client::proto::PbKeyValue;

    fn event(key: &str) -> PbEvent {
        let kv = PbKeyValue { key: key.into(), value: vec![0; 100], ..PbKeyValue::default() };
        PbEvent { kv: Some(kv), ..PbEvent::default() }
    }

    fn keys(joined: Joined) -> Vec<String> {
        let Joined::Whole(events) = joined else { panic!("not whole") };
        let key = |event: PbEvent| String::from_utf8(event.kv.unwrap().key).unwrap();
        events.into_iter().map(key).collect()
    }

    #[test]
    fn pieces_are_told_as_one_and_each_watcher_has_its_own() {
        let mut fragments = Fragments::default();
        assert!(matches!(fragments.join(1, true, vec![event("a"), event("b")], 1000), Joined::Part));
        assert!(matches!(fragments.join(2, true, vec![event("x")], 1000), Joined::Part));
        assert_eq!(keys(fragments.join(3, false, vec![event("other")], 1000)), ["other"]);
        assert!(matches!(fragments.join(1, true, vec![event("c")], 1000), Joined::Part));
        assert_eq!(keys(fragments.join(1, false, vec![event("d")], 1000)), ["a", "b", "c", "d"]);
        assert_eq!(keys(fragments.join(1, false, vec![event("e")], 1000)), ["e"]);
        fragments.forget(2);
        assert_eq!(keys(fragments.join(2, false, vec![event("y")], 1000)), ["y"]);
    }

    #[test]
    fn too_many_pieces_are_given_up() {
        let mut fragments = Fragments::default();
        assert!(matches!(fragments.join(1, true, vec![event("a")], 150), Joined::Part));
        assert!(matches!(fragments.join(1, true, vec![event("b")], 150), Joined::TooLarge));
        // Of one response there is no other way to take it.
        assert_eq!(keys(fragments.join(1, false, vec![event("a"), event("b")], 150)), ["a", "b"]);
    }
}

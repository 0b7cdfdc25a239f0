//! A map from runners that is looked into many times in each time slice.

use wkdb_tracer::RunnerId;

/// Values by runner. Runners are numbered as they are made and their numbers never come back, so this is a vector with
/// a place for each that there ever was: a pointer's room for those that are gone.
pub(super) struct Table<T> {
    all: Vec<Option<Box<T>>>,
    len: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table { all: Vec::new(), len: 0 }
    }
}

impl<T> Table<T> {
    pub(super) fn get(&self, id: RunnerId) -> Option<&T> {
        self.all.get(id.0 as usize)?.as_deref()
    }

    pub(super) fn get_mut(&mut self, id: RunnerId) -> Option<&mut T> {
        self.all.get_mut(id.0 as usize)?.as_deref_mut()
    }

    pub(super) fn insert(&mut self, id: RunnerId, value: T) {
        let place = id.0 as usize;
        if self.all.len() <= place {
            self.all.resize_with(place + 1, || None);
        }
        if self.all[place].replace(Box::new(value)).is_none() {
            self.len += 1;
        }
    }

    pub(super) fn remove(&mut self, id: RunnerId) -> Option<T> {
        let value = self.all.get_mut(id.0 as usize)?.take()?;
        self.len -= 1;
        Some(*value)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Those that there are, in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (RunnerId, &T)> {
        let numbered = (0..).map(RunnerId).zip(&self.all);
        numbered.filter_map(|(id, value)| Some((id, value.as_deref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_and_go() {
        let mut table = Table::default();
        table.insert(RunnerId(3), 'c');
        table.insert(RunnerId(1), 'a');
        table.insert(RunnerId(3), 'd');
        assert_eq!((table.get(RunnerId(3)), table.get(RunnerId(2)), table.get(RunnerId(9))), (Some(&'d'), None, None));
        *table.get_mut(RunnerId(1)).expect("it is there") = 'b';
        assert_eq!(table.iter().collect::<Vec<_>>(), [(RunnerId(1), &'b'), (RunnerId(3), &'d')]);
        assert_eq!((table.remove(RunnerId(3)), table.remove(RunnerId(3)), table.len()), (Some('d'), None, 1));
    }
}

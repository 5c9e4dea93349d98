//! Arrays that are checked once and then iterated in place, without a vector.
//!
//! [`Items::read`] walks all elements, so a malformed message is refused as a whole before anything acts on it; iterating
//! re-reads the same bytes. A request of a hundred megabytes thus costs no memory beyond its frame, whatever counts it
//! claims.

use super::reader::{Reader, WireError};
use std::marker::PhantomData;

/// What an array holds.
pub trait Element<'a>: Sized {
    /// Reads one element of the given message version.
    fn read(reader: &mut Reader<'a>, version: i16) -> Result<Self, WireError>;
}

impl<'a> Element<'a> for i32 {
    fn read(reader: &mut Reader<'a>, _version: i16) -> Result<i32, WireError> {
        reader.i32()
    }
}

/// Iterator over the elements of an array that has been checked.
#[derive(Debug, Clone)]
pub struct Items<'a, T> {
    reader: Reader<'a>,
    left: usize,
    version: i16,
    element: PhantomData<T>,
}

impl<'a, T: Element<'a>> Items<'a, T> {
    /// Reads an array that may not be null, and moves `reader` behind it.
    pub fn read(reader: &mut Reader<'a>, version: i16) -> Result<Items<'a, T>, WireError> {
        let left = reader.count()?;
        let items = Items { reader: reader.clone(), left, version, element: PhantomData };
        for _ in 0..left {
            T::read(reader, version)?;
        }
        Ok(items)
    }

    /// No elements, for a version that lacks the array.
    pub fn none(version: i16) -> Items<'a, T> {
        Items { reader: Reader::new(&[], false), left: 0, version, element: PhantomData }
    }

    /// An array of `left` elements at `reader`, which [`read`](Self::read) has checked before.
    pub(crate) fn checked(reader: Reader<'a>, left: usize, version: i16) -> Items<'a, T> {
        Items { reader, left, version, element: PhantomData }
    }

    /// Position of the first element that is left, bytes from the start of the reader's input.
    pub(crate) fn position(&self) -> usize {
        self.reader.position()
    }
}

impl<'a, T: Element<'a>> Iterator for Items<'a, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.left = self.left.checked_sub(1)?;
        T::read(&mut self.reader, self.version).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a, T: Element<'a>> ExactSizeIterator for Items<'a, T> {}

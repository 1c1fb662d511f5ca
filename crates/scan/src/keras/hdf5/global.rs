//! Global heaps: where values of any length lie.

use std::collections::{HashSet, VecDeque};

use super::cursor::Cursor;
use super::file::File;
use crate::trouble::Trouble;

/// How many collections are kept.
const KEPT: usize = 4;

/// The collections that were read last.
#[derive(Default)]
pub(super) struct GlobalHeaps {
    kept: VecDeque<Collection>,
}

struct Collection {
    address: u64,
    bytes: Vec<u8>,
    /// Index, and where the object lies in the bytes.
    objects: Vec<(u16, usize, usize)>,
}

impl GlobalHeaps {
    /// Up to `length` bytes of an object.
    pub(super) fn object(
        &mut self,
        file: &mut File<'_>,
        address: u64,
        index: u32,
        length: usize,
    ) -> Result<Vec<u8>, Trouble> {
        if !self.kept.iter().any(|collection| collection.address == address) {
            let collection = Collection::read(file, address)?;
            self.kept.truncate(KEPT - 1);
            self.kept.push_front(collection);
        }
        let collection = self.kept.iter().find(|collection| collection.address == address);
        let object = collection.and_then(|collection| collection.object(index));
        let Some(object) = object else {
            return Err(Trouble::malformed(
                file.place(address),
                "a global heap without the object that is asked for",
            ));
        };
        let object = object.get(..length).unwrap_or(object);
        file.spend(object.len() as u64)?;
        Ok(object.to_vec())
    }
}

impl Collection {
    fn read(file: &mut File<'_>, address: u64) -> Result<Self, Trouble> {
        let header = file.read(address, 8 + file.length)?;
        let mut cursor = Cursor::new(&header, file.place(address));
        cursor.expect(b"GCOL")?;
        cursor.skip(4)?;
        let size = cursor.size(file.length)?;
        let bytes = file.read(address, size)?;
        let (mut objects, mut seen) = (Vec::new(), HashSet::new());
        let mut at = 8 + file.length;
        while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= 8 + file.length) {
            let mut cursor = Cursor::new(rest, file.place(address).saturating_add(at as u64));
            let index = cursor.u16()?;
            cursor.skip(6)?;
            let size = cursor.size(file.length)?;
            // Object 0 is what is free. The library writes it last, but passes over it by its size wherever it stands.
            if index == 0 {
                if size == rest.len() || rest.iter().all(|byte| *byte == 0) {
                    break;
                }
                return Err(Trouble::malformed(cursor.at(), "a global heap with free space before its end"));
            }
            let start = at + 8 + file.length;
            let end = start.checked_add(size).filter(|end| *end <= bytes.len());
            let (true, Some(end)) = (seen.insert(index), end) else {
                let what = "a global heap with an object beyond its end, or with two of one number";
                return Err(Trouble::malformed(cursor.at(), what));
            };
            objects.push((index, start, size));
            at = end.next_multiple_of(8);
        }
        objects.sort_unstable();
        Ok(Self { address, bytes, objects })
    }

    fn object(&self, index: u32) -> Option<&[u8]> {
        let found = self.objects.binary_search_by_key(&index, |(index, ..)| u32::from(*index)).ok()?;
        let (_, start, size) = self.objects.get(found)?;
        self.bytes.get(*start..start.checked_add(*size)?)
    }
}

//! HDF5 files for tests, written from the specification: one root group of each generation, and what can lie in it.

/// A file that is being written: blocks one after the other.
pub(in crate::keras) struct Fixture {
    pub(in crate::keras) bytes: Vec<u8>,
    /// What the superblock has before its addresses begin.
    new: bool,
}

/// A number in `width` bytes.
fn int(value: u64, width: usize) -> Vec<u8> {
    value.to_le_bytes().iter().take(width).copied().collect()
}

pub(in crate::keras) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

impl Fixture {
    /// A file with a superblock of version 0.
    pub(in crate::keras) fn old() -> Self {
        Self { bytes: vec![0; 96], new: false }
    }

    /// A file with a superblock of version 3.
    pub(in crate::keras) fn new() -> Self {
        Self { bytes: vec![0; 48], new: true }
    }

    /// Writes a block, and says where.
    pub(in crate::keras) fn put(&mut self, block: &[u8]) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let at = self.bytes.len() as u64;
        self.bytes.extend_from_slice(block);
        at
    }

    /// Writes the superblock for this root group.
    pub(in crate::keras) fn finish(mut self, root: u64) -> Vec<u8> {
        let end = self.bytes.len() as u64;
        let none = [0xff; 8];
        let block = if self.new {
            join(&[
                &super::file::MARK,
                &[3, 8, 8, 0],
                &int(0, 8),
                &none,
                &int(end, 8),
                &int(root, 8),
                &[0; 4],
            ])
        } else {
            let head = [0, 0, 0, 0, 0, 8, 8, 0, 4, 0, 16, 0, 0, 0, 0, 0];
            join(&[
                &super::file::MARK,
                &head,
                &int(0, 8),
                &none,
                &int(end, 8),
                &none,
                &[0; 8],
                &int(root, 8),
                &[0; 24],
            ])
        };
        self.bytes[..block.len()].copy_from_slice(&block);
        self.bytes
    }

    /// Writes an object with these messages.
    pub(in crate::keras) fn object(&mut self, messages: &[(u8, Vec<u8>)]) -> u64 {
        let mut body = Vec::new();
        for (kind, data) in messages {
            if self.new {
                body.extend(join(&[&[*kind], &int(data.len() as u64, 2), &[0], data]));
            } else {
                let padded = data.len().next_multiple_of(8);
                body.extend(join(&[&[*kind, 0], &int(padded as u64, 2), &[0; 4], data]));
                body.resize(body.len() + padded - data.len(), 0);
            }
        }
        let size = int(body.len() as u64, 4);
        let block = if self.new {
            join(&[b"OHDR", &[2, 2], &size, &body, &[0; 4]])
        } else {
            join(&[&[1, 0], &int(messages.len() as u64, 2), &[1, 0, 0, 0], &size, &[0; 4], &body])
        };
        self.put(&block)
    }

    /// Writes an object whose messages all lie in a continuation.
    pub(in crate::keras) fn continued(&mut self, messages: &[(u8, Vec<u8>)]) -> u64 {
        let inner = usize::try_from(self.object(messages)).unwrap();
        let (address, length) = if self.new {
            self.bytes[inner..inner + 4].copy_from_slice(b"\0\0\0\0");
            let chunk = join(&[b"OCHK", &self.bytes[inner + 10..]]);
            (self.put(&chunk), chunk.len())
        } else {
            (inner as u64 + 16, self.bytes.len() - inner - 16)
        };
        self.object(&[(0x10, join(&[&int(address, 8), &int(length as u64, 8)]))])
    }

    /// Writes a global heap with one object, and gives the reference to it.
    pub(in crate::keras) fn variable(&mut self, data: &[u8]) -> Vec<u8> {
        self.heap(&[(1, data.len() as u64, data), (0, 16, b"")])
    }

    /// Writes a global heap with these objects, by their numbers and sizes, and gives the reference to number 1, which is as
    /// long as the first.
    pub(in crate::keras) fn heap(&mut self, objects: &[(u8, u64, &[u8])]) -> Vec<u8> {
        let mut block = Vec::new();
        for (number, size, data) in objects {
            block.extend(join(&[&[*number, 0, 1, 0, 0, 0, 0, 0], &int(*size, 8), data]));
            block.resize(block.len().next_multiple_of(8), 0);
        }
        let block = join(&[b"GCOL", &[1, 0, 0, 0], &int(block.len() as u64 + 16, 8), &block]);
        let heap = self.put(&block);
        join(&[&int(objects[0].1, 4), &int(heap, 8), &[1, 0, 0, 0]])
    }

    /// Writes a local heap with these names, and gives its address and theirs.
    pub(in crate::keras) fn names(&mut self, names: &[&str]) -> (u64, Vec<u64>) {
        let mut data = vec![0; 8];
        let mut places = Vec::new();
        for name in names {
            places.push(data.len() as u64);
            data.extend_from_slice(name.as_bytes());
            data.push(0);
        }
        let at = self.put(&data);
        let heap =
            self.put(&join(&[b"HEAP", &[0; 4], &int(data.len() as u64, 8), &int(u64::MAX, 8), &int(at, 8)]));
        (heap, places)
    }

    /// The message of an old group with these members.
    pub(in crate::keras) fn symbols(&mut self, members: &[(&str, u64)]) -> (u8, Vec<u8>) {
        let (heap, places) = self.names(&members.iter().map(|(name, _)| *name).collect::<Vec<_>>());
        let mut node = join(&[b"SNOD", &[1, 0], &int(members.len() as u64, 2)]);
        for (place, (_, object)) in places.iter().zip(members) {
            node.extend(join(&[&int(*place, 8), &int(*object, 8), &[0; 24]]));
        }
        let node = self.put(&node);
        let tree = self.put(&join(&[b"TREE", &[0, 0, 1, 0], &[0xff; 16], &[0; 8], &int(node, 8), &[0; 8]]));
        (0x11, join(&[&int(tree, 8), &int(heap, 8)]))
    }

    /// The information message of an object whose links (2) or attributes (21) lie in dense storage.
    pub(in crate::keras) fn dense(&mut self, kind: u8, messages: &[Vec<u8>]) -> (u8, Vec<u8>) {
        let (id_length, record, record_type) = if kind == 2 { (7_u64, 11_u64, 5) } else { (8, 17, 8) };
        // A direct block, whose own header counts as part of the heap's space.
        let mut block = join(&[b"FHDB", &[0; 13]]);
        let mut records = Vec::new();
        for message in messages {
            let id = join(&[&[0], &int(block.len() as u64, 4), &int(message.len() as u64, 2), &[0]]);
            let id = &id[..usize::try_from(id_length).unwrap()];
            records.push(if kind == 2 { join(&[&[0; 4], id]) } else { join(&[id, &[0; 9]]) });
            block.extend_from_slice(message);
        }
        block.resize(4096, 0);
        let block = self.put(&block);
        let header = join(&[
            b"FRHP",
            &[0],
            &int(id_length, 2),
            &[0, 0, 0],
            &int(4096, 4),
            &[0; 8],
            &[0xff; 8],
            &[0; 8],
            &[0xff; 8],
            &[0; 64],
            &int(4, 2),
            &int(4096, 8),
            &int(65535 + 1, 8),
            &int(32, 2),
            &int(1, 2),
            &int(block, 8),
            &int(0, 2),
            &[0; 4],
        ]);
        let heap = self.put(&header);
        let mut leaf = join(&[b"BTLF", &[0, record_type], &records.concat()]);
        leaf.resize(4096, 0);
        let leaf = self.put(&leaf);
        let tree = self.put(&join(&[
            b"BTHD",
            &[0, record_type],
            &int(4096, 4),
            &int(record, 2),
            &[0, 0, 100, 40],
            &int(leaf, 8),
            &int(messages.len() as u64, 2),
            &int(messages.len() as u64, 8),
            &[0; 4],
        ]));
        (kind, join(&[&[0, 0], &int(heap, 8), &int(tree, 8)]))
    }
}

/// An attribute message of version 3 with one value of this type.
fn attribute(name: &str, kind: &[u8], data: &[u8]) -> Vec<u8> {
    let name = join(&[name.as_bytes(), &[0]]);
    let sizes = join(&[&int(name.len() as u64, 2), &int(kind.len() as u64, 2), &int(4, 2)]);
    join(&[&[3, 0], &sizes, &[1], &name, kind, &[2, 0, 0, 0], data])
}

/// An attribute with a string of fixed size.
pub(in crate::keras) fn fixed(name: &str, text: &str) -> Vec<u8> {
    attribute(name, &join(&[&[0x13, 0, 0, 0], &int(text.len() as u64, 4)]), text.as_bytes())
}

/// The same, but that its type is said to lie elsewhere.
pub(in crate::keras) fn committed(name: &str, text: &str) -> Vec<u8> {
    let mut attribute = fixed(name, text);
    attribute[1] = 1;
    attribute
}

/// An attribute with a string in a global heap, by the reference to it.
pub(in crate::keras) fn variable(name: &str, reference: &[u8]) -> Vec<u8> {
    let base = [0x13, 0, 0, 0, 1, 0, 0, 0];
    attribute(name, &join(&[&[0x19, 1, 1, 0, 16, 0, 0, 0], &base]), reference)
}

/// An attribute whose type is what this reference leads to.
pub(in crate::keras) fn typed(name: &str, reference: &[u8], data: &[u8]) -> Vec<u8> {
    let mut attribute = attribute(name, reference, data);
    attribute[1] = 1;
    attribute
}

/// References to an object that is a type, in each version that there is.
pub(in crate::keras) fn references(object: u64) -> [Vec<u8>; 3] {
    let address = int(object, 8);
    [join(&[&[3, 2], &address]), join(&[&[2, 0], &address]), join(&[&[1, 0], &[0; 14], &address])]
}

/// The message of a type: a text of so many bytes.
pub(in crate::keras) fn text_type(size: usize) -> (u8, Vec<u8>) {
    (3, join(&[&[0x13, 0, 0, 0], &int(size as u64, 4)]))
}

/// The message of a type: bytes of any number, as PyTables keeps pickles.
pub(in crate::keras) fn bytes_type() -> (u8, Vec<u8>) {
    (3, join(&[&[0x19, 0, 0, 0, 16, 0, 0, 0], &[0x10, 0, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0]]))
}

/// The message of a type: a record of two numbers.
pub(in crate::keras) fn record_type() -> (u8, Vec<u8>) {
    let number = [0x10, 8, 0, 0, 4, 0, 0, 0, 0, 0, 32, 0];
    let member = |name: u8, at: u8| join(&[&[name, 0, at], &number]);
    (3, join(&[&[0x36, 2, 0, 0, 8, 0, 0, 0], &member(b'x', 0), &member(b'y', 4)]))
}

/// An attribute with a number.
pub(in crate::keras) fn number(name: &str) -> Vec<u8> {
    attribute(name, &[0x10, 8, 0, 0, 4, 0, 0, 0, 0, 0, 32, 0], &[7, 0, 0, 0])
}

/// A link to an object.
pub(in crate::keras) fn hard(name: &str, object: u64) -> Vec<u8> {
    join(&[&[1, 0, u8::try_from(name.len()).unwrap()], name.as_bytes(), &int(object, 8)])
}

/// A link of a type, with its value.
pub(in crate::keras) fn special(name: &str, kind: u8, value: &[u8]) -> Vec<u8> {
    let head = [1, 8, kind, u8::try_from(name.len()).unwrap()];
    join(&[&head, name.as_bytes(), &int(value.len() as u64, 2), value])
}

/// A list of external files, by the local heap with their names.
pub(in crate::keras) fn external(heap: u64, places: &[u64]) -> (u8, Vec<u8>) {
    let count = int(places.len() as u64, 2);
    let slots: Vec<u8> = places.iter().flat_map(|at| join(&[&int(*at, 8), &[0; 16]])).collect();
    (7, join(&[&[1, 0, 0, 0], &count, &count, &int(heap, 8), &slots]))
}

/// A pipeline with filters by their numbers, version 2.
pub(in crate::keras) fn filters(ids: &[u16]) -> (u8, Vec<u8>) {
    let mut body = vec![2, u8::try_from(ids.len()).unwrap()];
    for id in ids {
        body.extend(id.to_le_bytes());
        if *id >= 256 {
            body.extend(join(&[&[4, 0, 0, 0, 0, 0], b"name"]));
        } else {
            body.extend([0; 4]);
        }
    }
    (0x0b, body)
}

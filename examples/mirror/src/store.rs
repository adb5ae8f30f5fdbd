//! A log on this host's disk.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::str::FromStr;

use crate::record::{self, Contents};
use crate::{Context, Error, Result};

/// When an append is durable here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When the kernel has it: it outlives this process, not this host's power. Measures the network alone.
    Kernel,
    /// When the disk has it. Appends that wait at the same time are synced together.
    Sync,
}

impl FromStr for Durability {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Durability, String> {
        match text {
            "kernel" => Ok(Durability::Kernel),
            "sync" => Ok(Durability::Sync),
            _ => Err("expected kernel or sync".to_owned()),
        }
    }
}

/// A log that records are appended to.
pub struct Store {
    file: File,
    durability: Durability,
    /// Its last record's number.
    pub last: u64,
    bytes: u64,
}

impl Store {
    /// Opens a log, or makes one. A torn tail is cut off; says how many bytes that was.
    ///
    /// # Errors
    /// As the file system has them.
    pub fn open(path: &Path, durability: Durability) -> Result<(Store, u64)> {
        let name = path.display();
        let options =
            File::options().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = options.context(&name)?;
        let Contents { records, bytes, torn } = read(&file).context(&name)?;
        if torn > 0 {
            file.set_len(bytes).context(&name)?;
        }
        file.seek(SeekFrom::End(0)).context(&name)?;
        let last = records.len() as u64;
        Ok((Store { file, durability, last, bytes }, torn))
    }

    /// Appends whole records, of which `last` is the last one's number.
    ///
    /// # Errors
    /// As the file system has them; the log's tail may then be torn.
    pub fn append(&mut self, records: &[u8], last: u64) -> io::Result<()> {
        self.file.write_all(records)?;
        self.bytes += records.len() as u64;
        self.last = last;
        Ok(())
    }

    /// What was appended is durable when this returns.
    ///
    /// # Errors
    /// As the disk has them.
    pub fn settle(&mut self) -> io::Result<()> {
        match self.durability {
            Durability::Kernel => Ok(()),
            Durability::Sync => self.file.sync_data(),
        }
    }

    /// The bytes of all records behind number `from`.
    ///
    /// # Errors
    /// As the file system has them.
    pub fn behind(&mut self, from: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(0))?;
        self.file.read_to_end(&mut bytes)?;
        let mut at = 0;
        while let record::Next::Record { number, bytes: length, .. } = record::next(&bytes[at..])
            && number <= from
        {
            at += length;
        }
        Ok(bytes.split_off(at))
    }
}

/// What a log holds.
///
/// # Errors
/// As the file system has them.
pub fn contents(path: &Path) -> Result<Contents> {
    let name = path.display();
    read(&File::open(path).context(&name)?).context(&name)
}

/// How many of the records that clients were told of a log has not, and how many they were told of.
///
/// # Errors
/// What `clients --log` has written can't be read, or is something else.
pub fn missing(log: &Contents, told: &Path) -> Result<(u64, u64)> {
    let name = told.display();
    let mut numbers = BTreeSet::new();
    for line in fs::read_to_string(told).context(&name)?.lines() {
        let number = line.split('\t').next().and_then(|word| word.parse::<u64>().ok());
        numbers.insert(
            number.filter(|&number| number > 0).ok_or_else(|| {
                Error::new(format!("{name}: {line:?}: expected a record's number"))
            })?,
        );
    }
    let missing = numbers.iter().filter(|&&number| number > log.records.len() as u64).count();
    Ok((missing as u64, numbers.len() as u64))
}

fn read(file: &File) -> io::Result<Contents> {
    record::read(BufReader::with_capacity(1 << 20, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_tail_is_cut_off_and_the_log_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut records = Vec::new();
        (1..=3).for_each(|number| record::write(&mut records, number, b"a record"));
        let whole = records.len() as u64;
        let (mut store, torn) = Store::open(&path, Durability::Sync).unwrap();
        assert_eq!((store.last, torn), (0, 0));
        store.append(&records, 3).unwrap();
        store.append(b"MREC half", 4).unwrap();
        store.settle().unwrap();
        let (mut store, torn) = Store::open(&path, Durability::Kernel).unwrap();
        assert_eq!((store.last, torn), (3, 9));
        let mut more = Vec::new();
        record::write(&mut more, 4, b"the next");
        store.append(&more, 4).unwrap();
        assert_eq!(store.behind(3).unwrap(), more);
        assert_eq!(store.behind(0).unwrap().len() as u64, whole + more.len() as u64);
        let log = contents(&path).unwrap();
        assert_eq!(log.records.len(), 4);

        let told = folder.path().join("told");
        fs::write(&told, "4\t10\t20\n2\t11\t21\n5\t12\t22\n5\t12\t22\n").unwrap();
        assert_eq!(missing(&log, &told).unwrap(), (1, 3));
        fs::write(&told, "0\t10\t20\n").unwrap();
        let said = missing(&log, &told).unwrap_err().to_string();
        assert!(said.ends_with("expected a record's number"), "{said}");
    }
}

use super::server::{Place, text};
use std::fs;
use std::path::PathBuf;

/// Where a server has its data, which can be without room: a library that is loaded before it fails what would
/// make a file longer. Nothing is mounted, and nobody need be root.
pub(super) struct Disk {
    pub(super) place: Place,
    full: PathBuf,
}

impl Disk {
    pub(super) async fn new() -> Self {
        let mut place = Place::new();
        let (source, library) = (place.path("full.c"), place.path("full.so"));
        fs::write(&source, include_str!("full.c")).unwrap();
        let arguments = ["-shared", "-fPIC", "-O1", "-o", text(&library), text(&source), "-ldl"];
        place.run("cc", &arguments).await;
        let full = place.path("full");
        place.variables = vec![("LD_PRELOAD", library), ("DISK_FULL", full.clone())];
        Disk { place, full }
    }

    /// From here on no file grows that has this in its path.
    pub(super) fn is_full_for(&self, part: &str) {
        let written = self.full.with_extension("new");
        fs::write(&written, part).unwrap();
        fs::rename(written, &self.full).unwrap();
    }

    pub(super) fn has_room(&self) {
        fs::remove_file(&self.full).unwrap();
    }
}

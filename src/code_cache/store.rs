//! TEMPORARY
#![allow(missing_docs)]
use std::path::{Path, PathBuf};
pub struct Store(PathBuf);
impl Store {
    pub fn default_dir() -> anyhow::Result<PathBuf> { Ok("/tmp/wkdb-cache".into()) }
    pub fn open(p: &Path) -> anyhow::Result<Store> { std::fs::create_dir_all(p)?; Ok(Store(p.to_owned())) }
    pub fn get(&self, key: &str, kind: &str) -> Option<PathBuf> { let p = self.0.join(format!("{key}.{kind}")); p.exists().then_some(p) }
    pub fn put(&self, key: &str, kind: &str, b: &[u8]) -> anyhow::Result<PathBuf> { let p = self.0.join(format!("{key}.{kind}")); std::fs::write(&p, b)?; Ok(p) }
}

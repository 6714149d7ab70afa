//! Who signs certificates; its own is in a file.

use edge::tls::TlsFiles;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) file: PathBuf,
}

impl Authority {
    pub(crate) fn new(folder: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        // Who has the name of his authority is taken to have signed himself.
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let file = folder.join(format!("{name}.pem"));
        std::fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { issuer: Issuer::new(params, key), file }
    }

    /// A certificate for hosts of these names and addresses, and its key.
    pub(crate) fn signs_for(&self, names: &[&str]) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// The same in files.
    pub(crate) fn writes_for(&self, name: &str, files: &TlsFiles) {
        let (certificate, key) = self.signs_for(&[name]);
        std::fs::write(&files.certificate, certificate).unwrap();
        std::fs::write(&files.key, key).unwrap();
    }

    /// For this machine's own address.
    pub(crate) fn writes(&self, files: &TlsFiles) {
        self.writes_for("127.0.0.1", files);
    }
}

pub(crate) fn files(folder: &Path, name: &str, callers: Option<&Authority>) -> TlsFiles {
    TlsFiles {
        certificate: folder.join(format!("{name}.cert.pem")),
        key: folder.join(format!("{name}.key.pem")),
        callers: callers.map(|it| it.file.clone()),
    }
}

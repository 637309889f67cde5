//! Certificates that nobody issues any more, minted by the openssl program: weak digests and short keys.

use std::{fs, path::Path};

use crate::{
    client::openssl,
    pki::{Authority, Files},
};

/// What a minted leaf is made of, in the words of the openssl program.
#[derive(Debug, Clone, Copy)]
pub struct Mint {
    /// The kind of key, as `openssl req -newkey` takes it.
    pub key: &'static str,
    /// An option of that kind, as `-pkeyopt` takes it.
    pub option: &'static str,
    /// The digest of the authority's signature.
    pub digest: &'static str,
}

impl Mint {
    /// A leaf with a P-256 key and a signature over this digest.
    pub const fn digest(digest: &'static str) -> Self {
        Self { key: "ec", option: "ec_paramgen_curve:P-256", digest }
    }

    /// A leaf with an RSA key of this many bits, `rsa_keygen_bits:N`, and a signature over SHA-256.
    pub const fn rsa(option: &'static str) -> Self {
        Self { key: "rsa", option, digest: "sha256" }
    }

    /// Has `authority` issue a leaf that may sign, in force for thirty days. Everything is written to `dir`.
    pub async fn issue(self, authority: &Authority, dir: &Path, stem: &str) -> Files {
        let path = |end: &str| dir.join(format!("{stem}{end}")).to_str().unwrap().to_owned();
        let issuer = authority.write_with_key(dir, &format!("{stem}-issuer"));
        // Without an extension openssl makes a certificate of version 1, which would be refused for that.
        fs::write(path(".ext"), "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n").unwrap();
        let (key, request, chain) = (path(".key"), path(".csr"), path(".pem"));
        let made = ["req", "-new", "-nodes", "-newkey", self.key, "-pkeyopt", self.option, "-subj", "/CN=edge"];
        run(&[&made[..], &["-keyout", &key, "-out", &request]].concat()).await;
        let digest = format!("-{}", self.digest);
        let signed = ["x509", "-req", "-in", &request, "-days", "30", &digest, "-extfile", &path(".ext")];
        let issued = ["-CA", issuer.chain.to_str().unwrap(), "-CAkey", issuer.key.to_str().unwrap(), "-out", &chain];
        run(&[&signed[..], &issued, &["-set_serial", "1"]].concat()).await;
        Files { chain: chain.into(), key: key.into() }
    }
}

async fn run(args: &[&str]) {
    let output = openssl(args, b"").await;
    assert!(output.success, "{args:?}: {}", output.stderr);
}

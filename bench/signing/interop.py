#!/usr/bin/env python3
"""Holds our model signatures against those of model_signing: each must accept and refuse what the other does.

    python3 bench/signing/interop.py [--work FOLDER] [--sigstore FOLDER]
    python3 bench/signing/interop.py --ostrom FILE [--work FOLDER]

Makes a virtual environment in --work (kept for the next run) with model-signing and all that it needs from PyPI, in the
versions and with the checksums of requirements.txt. Builds the example `oms`, signs a small model with both in every way
that both have, and verifies with both: the model as it was signed, and after one change after another. Prints a line per
case and ends with status 1 if any verdict is not the expected one.

--ostrom FILE takes the program itself instead of the example, with less: one key and one chain of certificates, files and
shards, and only what is wrong is printed. `cargo xtask test` does this.

--sigstore FOLDER also verifies real signatures of the public Sigstore instance: FOLDER holds `*.attestation` files
(PEP 740), for instance test/assets of the source distribution of pypi-attestations. The trust root is the one that the
PyPI package sigstore brings along.
"""

import argparse
import base64
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PINNED = HERE / "requirements.txt"
SHARD = 1000


def sh(*command, **options):
    return subprocess.run([str(word) for word in command], check=True, **options)


def install(work):
    """Python with the pinned packages. The pins are part of the folder's name, so that a changed pin installs anew."""
    folder = work / f"model-signing-{hashlib.sha256(PINNED.read_bytes()).hexdigest()[:12]}"
    python = folder / "bin/python"
    if not (folder / "installed").exists():
        shutil.rmtree(folder, ignore_errors=True)
        sh(sys.executable, "-m", "venv", folder)
        sh(python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install",
           # The file has all of them. Left to find what they need, pip looks beyond a pin with an extra, and stumbles over a newer release.
           "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", PINNED)
        (folder / "installed").touch()
    return python


def example():
    """Our example program."""
    build = sh("cargo", "build", "--quiet", "--message-format=json", "-p", "ostrom-trust", "--example", "oms",
               cwd=HERE, stdout=subprocess.PIPE, text=True)
    made = [json.loads(line).get("executable") for line in build.stdout.splitlines()]
    return [path for path in made if path and pathlib.Path(path).stem == "oms"][-1]


# From here on inside the virtual environment.

class Bench:
    def __init__(self, program, folder, is_ostrom):
        self.program, self.folder, self.is_ostrom, self.wrong, self.cases = program, folder, is_ostrom, 0, 0
        self.environment = os.environ | {"OSTROM_HOME": str(folder / "home")}

    def ours(self, *arguments):
        """(did it succeed, what it said)"""
        words = [str(word) for word in arguments]
        if self.is_ostrom:
            verb, model, signature, *rest = words
            place = {"sign": "--out", "verify": "--signature"}[verb]
            words = [verb, model, place, signature, *("--key" if word == "--public" else word for word in rest)]
        done = subprocess.run([self.program, *words], capture_output=True, text=True, env=self.environment)
        return done.returncode == 0, (done.stdout + done.stderr).strip()

    def expect(self, name, expected, **verdicts):
        self.cases += 1
        good = all(verdict == expected for verdict, _ in verdicts.values())
        self.wrong += not good
        said = "  ".join(f"{who} {'accepts' if verdict else 'refuses'}" for who, (verdict, _) in verdicts.items())
        if not (good and self.is_ostrom):
            print(f"{'ok   ' if good else 'WRONG'} {name}: {said}")
        if not good:
            for who, (_, message) in verdicts.items():
                print(f"      {who}: {message[:2000]}")


def theirs(action):
    try:
        action()
        return True, ""
    except Exception as error:  # whatever it raises is its way to refuse
        return False, f"{type(error).__name__}: {error}"


def make_model(folder):
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "weights").mkdir(parents=True)
    (folder / "weights/a.bin").write_bytes(bytes(range(256)) * 10)
    (folder / "weights/b.bin").write_bytes(b"b" * SHARD)
    (folder / "weights/größe 模型.bin").write_bytes(b"names are UTF-8")
    (folder / "weights.txt").write_text("sorts after the folder's files")
    (folder / ".hidden").write_text("hidden files count")
    (folder / ".gitattributes").write_text("git files do not")


def changes():
    """Name, whether the model is still good, and what is done to it."""
    def rename(model):
        (model / "weights.txt").rename(model / "renamed.txt")

    def link(model):
        (model / "weights.txt").rename(model.parent / "outside.txt")
        (model / "weights.txt").symlink_to(model.parent / "outside.txt")

    def byte(model):
        data = bytearray((model / "weights/a.bin").read_bytes())
        data[-1] ^= 1
        (model / "weights/a.bin").write_bytes(data)

    def swap(model):
        (model / "weights/b.bin").rename(model / "x")
        (model / "weights/a.bin").rename(model / "weights/b.bin")
        (model / "x").rename(model / "weights/a.bin")

    return [
        ("unchanged", True, lambda model: None),
        ("extra file", False, lambda model: (model / "extra").write_text("x")),
        ("extra file in a folder", False, lambda model: (model / "weights/extra").write_text("x")),
        ("missing file", False, lambda model: (model / "weights/b.bin").unlink()),
        ("renamed file", False, rename),
        ("changed byte", False, byte),
        ("longer file", False, lambda model: (model / "weights/b.bin").write_bytes(b"b" * (SHARD + 1))),
        ("shorter file", False, lambda model: (model / "weights/b.bin").write_bytes(b"b" * (SHARD - 1))),
        ("files swapped", False, swap),
        ("file became a link", False, link),
        ("link added", False, lambda model: (model / "link").symlink_to("weights.txt")),
        ("broken link added", False, lambda model: (model / "link").symlink_to("nowhere")),
        ("pipe added", False, lambda model: os.mkfifo(model / "pipe")),
        ("ignored file changed", True, lambda model: (model / ".gitattributes").write_text("changed")),
        ("empty folder added", True, lambda model: (model / "empty").mkdir()),
    ]


def hashing_config(hash_name, shards, links=False):
    from model_signing import hashing
    config = hashing.Config()
    if shards:
        config.use_shard_serialization(hashing_algorithm=hash_name, shard_size=SHARD)
    else:
        config.use_file_serialization(hashing_algorithm=hash_name)
    return config.set_allow_symlinks(links)


def methods(folder):
    """Keys on every curve, and certificates: name, how to configure them to sign and verify, and our options."""
    import datetime
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def write_key(name, key, form=serialization.PrivateFormat.PKCS8):
        path = folder / f"{name}.pem"
        path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        public = folder / f"{name}.pub"
        public.write_bytes(key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        return path, public

    found = []
    for curve, form in [(ec.SECP256R1(), serialization.PrivateFormat.PKCS8),
                        (ec.SECP384R1(), serialization.PrivateFormat.TraditionalOpenSSL),
                        (ec.SECP521R1(), serialization.PrivateFormat.PKCS8)]:
        path, public = write_key(curve.name, ec.generate_private_key(curve), form)
        found.append((
            f"key {curve.name}",
            lambda config, path=path: config.use_elliptic_key_signer(private_key=path),
            lambda config, public=public: config.use_elliptic_key_verifier(public_key=public),
            ["--key", path], ["--public", public],
        ))

    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(subject, issuer, key, issuer_key, digest, extensions):
        name = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
        builder = (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=9)))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        made = builder.sign(issuer_key, digest)
        path = folder / f"{subject}.crt"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        return path

    def usage(**on):
        names = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                 "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
        return x509.KeyUsage(**{name: on.get(name, False) for name in names})

    signing = [(usage(digital_signature=True), True),
               (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)]
    for kind, root_key, middle_key, leaf_key, digests in [
        ("P-256", *(ec.generate_private_key(ec.SECP256R1()) for _ in range(3)), (hashes.SHA256(), hashes.SHA256())),
        ("P-384 under RSA", rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1()),
         ec.generate_private_key(ec.SECP384R1()), (hashes.SHA256(), hashes.SHA384())),
        ("P-521", *(ec.generate_private_key(ec.SECP521R1()) for _ in range(3)), (hashes.SHA512(), hashes.SHA512())),
    ]:
        tag = kind.replace(" ", "-")
        ca = lambda length: [(x509.BasicConstraints(True, length), True), (usage(key_cert_sign=True, crl_sign=True), True)]
        root = certificate(f"root-{tag}", f"root-{tag}", root_key, root_key, digests[0], ca(None))
        middle = certificate(f"middle-{tag}", f"root-{tag}", middle_key, root_key, digests[0], ca(0))
        leaf = certificate(f"leaf-{tag}", f"middle-{tag}", leaf_key, middle_key, digests[1], signing)
        path, _ = write_key(f"leaf-{tag}", leaf_key)
        found.append((
            f"certificate {kind}",
            lambda config, p=path, l=leaf, m=middle: config.use_certificate_signer(
                private_key=p, signing_certificate=l, certificate_chain=[m]),
            lambda config, r=root: config.use_certificate_verifier(certificate_chain=[r]),
            ["--key", path, "--certificate", leaf, "--chain", middle], ["--root", root],
        ))
    return found


def chains(bench, model, signature):
    """What a chain of certificates must be: the same for both, or ours refuses what theirs takes."""
    import datetime
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    from model_signing import signing, verifying

    now = datetime.datetime.now(datetime.timezone.utc)
    root_key, middle_key, leaf_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    flags = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
             "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]

    def usage(*on):
        return x509.KeyUsage(**{flag: flag in on for flag in flags}), True

    def certificate(subject, issuer, key, issuer_key, extensions, days=9):
        name = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
        builder = (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(days=8)).not_valid_after(now + datetime.timedelta(days=days)))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        path = bench.folder / f"{subject}.crt"
        path.write_bytes(builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path

    key_file = bench.folder / "chain-leaf.pem"
    key_file.write_bytes(leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    authority = lambda length=None: (x509.BasicConstraints(True, length), True)
    no_authority = (x509.BasicConstraints(False, None), True)
    purpose = lambda oid: (x509.ExtendedKeyUsage([oid]), False)
    unknown = (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00"), True)
    hosts = (x509.NameConstraints([x509.DNSName("example.org")], None), True)
    certify, sign = usage("key_cert_sign"), usage("digital_signature")
    good_root, good_middle = [authority(), certify], [authority(0), certify]
    good_leaf = [sign, purpose(ExtendedKeyUsageOID.CODE_SIGNING)]
    # Name, verdicts (theirs is None where it is no concern of this), root, intermediate, signer, days of the intermediate.
    for name, expected, root, middle, leaf, more in [
        ("as it should be", (True, True), good_root, good_middle, good_leaf, {}),
        ("a root that is no authority", (False, False), [no_authority, certify], good_middle, good_leaf, {}),
        ("a root without constraints", (None, False), [certify], good_middle, good_leaf, {}),
        ("a root that may not certify", (None, False), [authority(), sign], good_middle, good_leaf, {}),
        ("a root of too short a path", (False, False), [authority(0), certify], good_middle, good_leaf, {}),
        ("a root for servers", (None, False), [*good_root, purpose(ExtendedKeyUsageOID.SERVER_AUTH)], good_middle, good_leaf, {}),
        ("a root with something unknown that is critical", (False, False), [*good_root, unknown], good_middle, good_leaf, {}),
        ("an intermediate that is no authority", (False, False), good_root, [no_authority, certify], good_leaf, {}),
        ("an intermediate that may not certify", (False, False), good_root, [authority(0), sign], good_leaf, {}),
        ("an intermediate for servers", (None, False), good_root, [*good_middle, purpose(ExtendedKeyUsageOID.SERVER_AUTH)], good_leaf, {}),
        ("an intermediate with something unknown that is critical", (False, False), good_root, [*good_middle, unknown], good_leaf, {}),
        ("an intermediate that has expired", (None, False), good_root, good_middle, good_leaf, {"days": -2}),
        ("a signer with something unknown that is critical", (False, False), good_root, good_middle, [*good_leaf, unknown], {}),
        ("a signer for servers", (None, False), good_root, good_middle, [sign, purpose(ExtendedKeyUsageOID.SERVER_AUTH)], {}),
        ("a signer that has signed otherwise", (False, False), good_root, good_middle, [usage("key_agreement")], {}),
        ("a signer without purpose", (False, False), good_root, good_middle, [], {}),
        ("a host's name within constraints", (True, True), good_root, [*good_middle, hosts],
         [*good_leaf, (x509.SubjectAlternativeName([x509.DNSName("signer.example.org")]), False)], {}),
        ("a host's name against constraints", (False, False), good_root, [*good_middle, hosts],
         [*good_leaf, (x509.SubjectAlternativeName([x509.DNSName("signer.example.com")]), False)], {}),
        ("a host's name against constraints, as the common name", (False, False), good_root, [*good_middle, hosts], good_leaf,
         {"subject": "signer.example.com"}),
    ]:
        root = certificate("chain-root", "chain-root", root_key, root_key, root)
        middle = certificate("chain-middle", "chain-root", middle_key, root_key, middle, more.get("days", 9))
        leaf = certificate(more.get("subject", "chain-leaf"), "chain-middle", leaf_key, middle_key, leaf)
        make_model(model)
        signing.Config().use_certificate_signer(
            private_key=key_file, signing_certificate=leaf, certificate_chain=[middle]).sign(model, signature)
        config = verifying.Config().use_certificate_verifier(certificate_chain=[root])
        their, our = theirs(lambda: config.verify(model, signature)), bench.ours("verify", model, signature, "--root", root)
        bench.expect(f"chain: {name}", expected[1], ours=our)
        if expected[0] is not None:
            bench.expect(f"chain: {name}", expected[0], theirs=their)


def run_changes(bench, name, verify_theirs, our_trust, hash_name, shards, signature, model):
    from model_signing import verifying
    for change, good, apply in changes():
        make_model(model)
        (model.parent / "outside.txt").unlink(missing_ok=True)
        apply(model)
        config = verify_theirs(verifying.Config()).set_hashing_config(hashing_config(hash_name, shards))
        bench.expect(f"{name}, {change}", good,
                     theirs=theirs(lambda: config.verify(model, signature)),
                     ours=bench.ours("verify", model, signature, *our_trust))


def matrix(bench):
    from model_signing import signing, verifying
    model, signature = bench.folder / "model", bench.folder / "model.sig"
    found = methods(bench.folder)
    forms = [("sha256", False), ("sha256", True), ("blake2", False), ("blake2", True), ("blake3", False)]
    some = (found[0], found[3]) if bench.is_ostrom else found
    for name, sign_theirs, verify_theirs, our_signer, our_trust in some:
        for hash_name, shards in forms[:2] if bench.is_ostrom else forms:
            form = f"{name}, {hash_name} {'shards' if shards else 'files'}"
            make_model(model)
            sign_theirs(signing.Config()).set_hashing_config(hashing_config(hash_name, shards)).sign(model, signature)
            run_changes(bench, f"{form}, signed by theirs", verify_theirs, our_trust, hash_name, shards, signature, model)
            make_model(model)
            our_hash = {"blake2": "blake2b"}.get(hash_name, hash_name)
            good, said = bench.ours("sign", model, signature, *our_signer, "--hash", our_hash,
                                    *(["--shards", SHARD] if shards else []))
            assert good, said
            run_changes(bench, f"{form}, signed by ours", verify_theirs, our_trust, hash_name, shards, signature, model)

    chains(bench, model, signature)
    if bench.is_ostrom:
        return

    # Without being told how it was hashed, theirs reads what ours wrote.
    make_model(model)
    for options in ([], ["--shards", SHARD], ["--hash", "blake3"]):
        good, said = bench.ours("sign", model, signature, *found[0][3], *options)
        assert good, said
        config = found[0][2](verifying.Config())
        bench.expect(f"theirs guesses the method of ours {options}", True,
                     theirs=theirs(lambda: config.verify(model, signature)))

    # Signatures by others, and other roots.
    for index, other in [(0, 1), (1, 2), (3, 4), (4, 5)]:
        name, _, _, our_signer, _ = found[index]
        good, said = bench.ours("sign", model, signature, *our_signer)
        assert good, said
        config = found[other][2](verifying.Config())
        bench.expect(f"{name}, verified with {found[other][0]}", False,
                     theirs=theirs(lambda: config.verify(model, signature)),
                     ours=bench.ours("verify", model, signature, *found[other][4]))

    links(bench, found[0], model, signature)
    passphrases(bench, model, signature)
    command_line(bench, found[0], found[3], model)
    tampered(bench, found[0], model, signature)


def links(bench, method, model, signature):
    """Links that are allowed, to files inside and outside."""
    from model_signing import signing, verifying
    def linked():
        make_model(model)
        (model / "inside").symlink_to("weights.txt")
        (model / "outside").symlink_to(bench.folder / "outside.txt")
        (bench.folder / "outside.txt").write_text("outside")
    for who in ("theirs", "ours"):
        linked()
        if who == "theirs":
            method[1](signing.Config()).set_hashing_config(hashing_config("sha256", False, True)).sign(model, signature)
        else:
            good, said = bench.ours("sign", model, signature, *method[3], "--links")
            assert good, said
        for change, good in [("unchanged", True), ("target changed", False)]:
            linked()
            if not good:
                (bench.folder / "outside.txt").write_text("changed")
            for allowed in (True, False):
                config = method[2](verifying.Config()).set_hashing_config(hashing_config("sha256", False, allowed))
                bench.expect(f"links signed by {who}, {change}, {'allowed' if allowed else 'not allowed'}", good and allowed,
                             theirs=theirs(lambda: config.verify(model, signature)),
                             ours=bench.ours("verify", model, signature, *method[4], *(["--links"] if allowed else [])))


def passphrases(bench, model, signature):
    """Encrypted keys of either side open on the other."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from model_signing import signing, verifying
    make_model(model)
    secret, public = bench.folder / "enc.pem", bench.folder / "enc.pub"
    key = ec.generate_private_key(ec.SECP256R1())
    secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                         serialization.BestAvailableEncryption(b"correct horse")))
    public.write_bytes(key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    bench.expect("their encrypted key signs with ours", True,
                 ours=bench.ours("sign", model, signature, "--key", secret, "--passphrase", "correct horse"))
    bench.expect("… and theirs verifies", True, theirs=theirs(
        lambda: verifying.Config().use_elliptic_key_verifier(public_key=public).verify(model, signature)))
    bench.expect("… but not with a wrong passphrase", False,
                 ours=bench.ours("sign", model, signature, "--key", secret, "--passphrase", "battery staple"))
    secret, public = bench.folder / "enc2.pem", bench.folder / "enc2.pub"
    good, said = bench.ours("keygen", "p384", secret, public, "--passphrase", "correct horse")
    assert good, said
    bench.expect("our encrypted key signs with theirs", True, theirs=theirs(
        lambda: signing.Config().use_elliptic_key_signer(private_key=secret, password=b"correct horse")
        .sign(model, signature)))
    bench.expect("… and ours verifies", True, ours=bench.ours("verify", model, signature, "--public", public))


def command_line(bench, key, chain, model):
    """Their command line, with the signature inside of the model."""
    signature = model / "model.sig"
    def cli(*arguments):
        done = subprocess.run([str(word) for word in (sys.executable, "-m", "model_signing", *arguments)],
                              capture_output=True, text=True)
        return done.returncode == 0, done.stdout + done.stderr
    for name, signer, verifier, our_signer, our_trust in [
        ("key", ["key", "--private_key", key[3][1]], ["key", "--public_key", key[4][1]], key[3], key[4]),
        ("certificate",
         ["certificate", "--private_key", chain[3][1], "--signing_certificate", chain[3][3], "--certificate_chain", chain[3][5]],
         ["certificate", "--certificate_chain", chain[4][1]], chain[3], chain[4]),
    ]:
        for who in ("theirs", "ours"):
            make_model(model)
            if who == "theirs":
                good, said = cli("sign", *signer, "--signature", signature, model)
            else:
                good, said = bench.ours("sign", model, signature, *our_signer)
            assert good, said
            for change, expected in [("unchanged", True), ("extra", False)]:
                if not expected:
                    (model / "extra").write_text("x")
                bench.expect(f"command line, {name}, signed by {who}, {change}", expected,
                             theirs=cli("verify", *verifier, "--signature", signature, model),
                             ours=bench.ours("verify", model, signature, *our_trust))


def tampered(bench, method, model, signature):
    """Changes of the bundle itself."""
    from model_signing import verifying
    make_model(model)
    good, said = bench.ours("sign", model, signature, *method[3])
    assert good, said
    whole = json.loads(signature.read_text())
    def payload(change):
        def apply(bundle):
            statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
            change(statement)
            bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
        return apply
    for name, change in [
        ("payload: a resource less", payload(lambda statement: statement["predicate"]["resources"].pop())),
        ("payload: only spaces differ", payload(lambda statement: None)),
        ("payload: everything ignored", payload(
            lambda statement: statement["predicate"]["serialization"]["ignore_paths"].append("weights"))),
        ("another payload type", lambda bundle: bundle["dsseEnvelope"].update(payloadType="text/plain")),
        ("another hint", lambda bundle: bundle["verificationMaterial"]["publicKey"].update(hint="00")),
        ("another media type", lambda bundle: bundle.update(mediaType="application/json")),
        ("another signature", lambda bundle: bundle["dsseEnvelope"]["signatures"][0].update(sig="AAAA")),
        ("no signature", lambda bundle: bundle["dsseEnvelope"].update(signatures=[])),
    ]:
        bundle = json.loads(json.dumps(whole))
        change(bundle)
        signature.write_text(json.dumps(bundle))
        config = method[2](verifying.Config())
        bench.expect(f"bundle: {name}", False,
                     theirs=theirs(lambda: config.verify(model, signature)),
                     ours=bench.ours("verify", model, signature, *method[4]))


def sigstore(bench, assets):
    """Real signatures of the public instance: attestations of PyPI, rewritten as the bundles they came from."""
    import sigstore as package
    from cryptography import x509
    from sigstore.models import Bundle, TrustedRoot
    from sigstore.verify import Verifier, policy
    store = pathlib.Path(package.__file__).parent / "_store"  # of the public instance and of its staging twin
    for path in sorted(assets.glob("*.attestation")):
        attestation = json.loads(path.read_text())
        material = attestation["verification_material"]
        bundle = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": material["certificate"]},
                "tlogEntries": material["transparency_entries"],
            },
            "dsseEnvelope": {
                "payload": attestation["envelope"]["statement"],
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"sig": attestation["envelope"]["signature"], "keyid": ""}],
            },
        }
        certificate = x509.load_der_x509_certificate(base64.b64decode(material["certificate"]))
        log = material["transparency_entries"][0]["logId"]["keyId"]
        trust_file = next((file for file in store.glob("*/trusted_root.json") if log in file.read_text()), None)
        if trust_file is None:
            print(f"--    {path.name}: its log is in none of the trust roots")
            continue
        verifier = Verifier(trusted_root=TrustedRoot.from_file(str(trust_file)))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        identity = (names.get_values_for_type(x509.RFC822Name) + names.get_values_for_type(x509.UniformResourceIdentifier))[0]
        issuer = certificate.extensions.get_extension_for_oid(
            x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")).value.value[2:].decode()
        place = bench.folder / "real.json"
        trust = ["--trusted-root", trust_file, "--identity", identity, "--issuer"]

        def check(name, expected, issuer=issuer):
            place.write_text(json.dumps(bundle))
            bench.expect(f"{path.name}, {name}", expected,
                         theirs=theirs(lambda: verifier.verify_dsse(
                             Bundle.from_json(place.read_text()), policy.Identity(identity=identity, issuer=issuer))),
                         ours=bench.ours("authenticate", place, *trust, issuer))
        check("as it is", True)
        check("another issuer", False, "https://example.com")
        entry = bundle["verificationMaterial"]["tlogEntries"][0]
        for field in ("integratedTime", "logIndex"):
            if field in entry:
                before, entry[field] = entry[field], str(int(entry[field]) + 1)
                check(f"{field} + 1", False)
                entry[field] = before
        body, other = entry["canonicalizedBody"], bundle["dsseEnvelope"]["payload"]
        entry["canonicalizedBody"] = base64.b64encode(base64.b64decode(body).replace(b"0.0.1", b"0.0.2", 1)).decode()
        check("another log entry", False)
        entry["canonicalizedBody"] = body
        bundle["dsseEnvelope"]["payload"] = base64.b64encode(base64.b64decode(other) + b" ").decode()
        check("another payload", False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "ostrom-model-signing")
    parser.add_argument("--ostrom", type=pathlib.Path, help="the program to try, instead of the example")
    parser.add_argument("--sigstore", type=pathlib.Path)
    parser.add_argument("--only", choices=["sigstore"], help="leave out the rest")
    parser.add_argument("--program", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if not arguments.program:
        arguments.work.mkdir(parents=True, exist_ok=True)
        python, program = install(arguments.work), arguments.ostrom or example()
        more = ["--sigstore", arguments.sigstore.resolve()] if arguments.sigstore else []
        more += ["--only", arguments.only] if arguments.only else []
        more += ["--ostrom", arguments.ostrom] if arguments.ostrom else []
        command = [str(word) for word in (python, __file__, "--program", pathlib.Path(program).resolve(), *more)]
        sys.exit(subprocess.run(command).returncode)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments.program, pathlib.Path(folder).resolve(), arguments.ostrom is not None)
        if not arguments.only:
            matrix(bench)
        if arguments.sigstore:
            sigstore(bench, arguments.sigstore)
    print(f"{bench.cases} cases, {bench.wrong} wrong")
    sys.exit(bench.wrong > 0)


if __name__ == "__main__":
    main()

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { describe, expect, it } from 'vitest';
import { parseTrustDomain } from '../spiffe-id/trust-domain.js';
import {
  createCertificateSigningRequest,
  parseCertificateSigningRequest,
  verifyCertificateSigningRequest,
  type VerifiedCsr,
} from './certificate-signing-request.js';
import { OID } from './der/object-identifier.js';
import {
  encodeAuthorityKeyIdentifier,
  encodeBasicConstraints,
  encodeKeyUsages,
  encodeSubjectAlternativeNameExtension,
  encodeSubjectKeyIdentifier,
} from './der/x509-extension.js';
import { generatePrivateKey } from './generate-key.js';
import { createIntermediateAuthority } from './intermediate-authority.js';
import { KEY_TYPES, type KeyType } from './key-type.js';
import { encodePem } from './pem.js';
import { createSelfSignedAuthority } from './self-signed-authority.js';
import { signCertificate } from './sign-certificate.js';
import { createKeySigner, type Signer } from './signer.js';
import { subjectKeyIdentifier } from './subject-public-key.js';
import { verifyX509Authority, verifyX509Svid } from './verify-x509-svid.js';
import { parseX509Certificate, type X509Certificate } from './x509-certificate.js';

const trustDomain = parseTrustDomain('example.org');
const notBefore = new Date('2020-01-01T00:00:00Z');
const notAfter = new Date('2049-01-01T00:00:00Z');
const now = new Date('2030-01-01T00:00:00Z');

interface Authority {
  readonly signer: Signer;
  readonly certificate: X509Certificate;
  readonly csr: VerifiedCsr;
}

async function csrFor(keyType: KeyType): Promise<{ readonly signer: Signer; readonly csr: VerifiedCsr }> {
  const key = await generatePrivateKey(keyType);
  const signer = createKeySigner(key);
  const csr = parseCertificateSigningRequest(
    await createCertificateSigningRequest(signer, {
      uriNames: ['spiffe://somebody.else'],
      dnsNames: ['evil'],
    }),
  );
  return { signer, csr: await verifyCertificateSigningRequest(csr) };
}

async function root(keyType: KeyType): Promise<Authority> {
  const { signer, csr } = await csrFor(keyType);
  const der = await createSelfSignedAuthority({ trustDomain, signer, notBefore, notAfter });
  return { signer, csr, certificate: parseX509Certificate(der) };
}

async function below(issuer: Authority, keyType: KeyType): Promise<Authority> {
  const { signer, csr } = await csrFor(keyType);
  const der = await createIntermediateAuthority({
    trustDomain,
    csr,
    issuer: issuer.certificate,
    signer: issuer.signer,
    notBefore,
    notAfter,
  });
  return { signer, csr, certificate: parseX509Certificate(der) };
}

describe('an intermediate authority', () => {
  it.each(KEY_TYPES)(
    'of type %s is a signing certificate of the trust domain and of the key alone, three levels deep, and openssl agrees',
    async (keyType) => {
      const top = await root('ec-p384');
      const middle = await below(top, keyType);
      const bottom = await below(middle, 'ec-p256');
      const { certificate } = bottom;
      expect(certificate).toMatchObject({
        uriNames: ['spiffe://example.org'],
        dnsNames: [],
        isCa: true,
        pathLength: undefined,
        authorityKeyId: middle.certificate.subjectKeyId,
      });
      expect(certificate.keyUsages).toEqual(new Set(['keyCertSign', 'cRLSign']));
      expect(certificate.extendedKeyUsages).toBeUndefined();
      expect(certificate.extensions.get(OID.keyUsage)?.isCritical).toBe(true);
      expect(certificate.extensions.get(OID.basicConstraints)?.isCritical).toBe(true);
      expect(certificate.issuer).toEqual(middle.certificate.subject);
      expect(certificate.subject).not.toEqual(middle.certificate.subject);

      const leaf = await signCertificate(
        leafOf(await TestAuthority.create('example.org'), bottom),
        bottom.signer,
      );
      const chain = [leaf, bottom.certificate.der, middle.certificate.der];
      const authorities = [top.certificate.der];
      expect(verifyX509Svid({ chain, authorities, now }).spiffeId).toBe('spiffe://example.org/web');
      expect(() => verifyX509Svid({ chain: chain.slice(0, 2), authorities, now })).toThrow('not signed by');

      const folder = mkdtempSync(join(tmpdir(), 'bonafide-'));
      try {
        const write = (name: string, ders: readonly Buffer[]): string => {
          writeFileSync(join(folder, name), ders.map((der) => encodePem('CERTIFICATE', der)).join(''));
          return join(folder, name);
        };
        const args = ['verify', '-x509_strict', '-CAfile', write('root.pem', authorities)];
        const files = ['-untrusted', write('chain.pem', chain.slice(1)), write('leaf.pem', [leaf])];
        expect(execFileSync('openssl', [...args, ...files], { stdio: 'pipe' }).toString()).toContain('OK');
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
    300_000,
  );

  it('is refused where nobody would believe it', async () => {
    const top = await root('ec-p256');
    const { csr } = top;
    const content = { trustDomain, csr, issuer: top.certificate, signer: top.signer, notBefore, notAfter };
    const make = (change: Partial<Parameters<typeof createIntermediateAuthority>[0]>): (() => unknown) => {
      return () => createIntermediateAuthority({ ...content, ...change });
    };
    const limited = { ...top.certificate, pathLength: 0, publicKey: top.certificate.publicKey };
    expect(make({ issuer: limited })).toThrow('path length 0');
    expect(make({ issuer: { ...limited, isCa: false } })).toThrow('not a signing certificate');
    expect(make({ notAfter: new Date('2050-01-01T00:00:00Z') })).toThrow('outlive');
    expect(make({ notBefore: notAfter })).toThrow('end before it begins');
  });
});

describe('a chain of signing certificates', () => {
  it('leads to an anchor, or is one, within every path length and only in its own trust domain', async () => {
    const anchor = await TestAuthority.create('example.org', { pathLength: 1 });
    const first = await anchor.createIntermediate();
    const second = await first.createIntermediate();
    const authorities = [anchor.certificate];
    const check = (chain: readonly Buffer[], domain = 'example.org'): X509Certificate =>
      verifyX509Authority({ chain, authorities, now: new Date(), trustDomain: parseTrustDomain(domain) });
    expect(check([anchor.certificate]).der).toEqual(anchor.certificate);
    expect(check([first.certificate]).der).toEqual(first.certificate);
    expect(() => check([second.certificate, first.certificate])).toThrow(
      'allows 1 intermediates below it, not 2',
    );
    expect(() => check([second.certificate])).toThrow('does not lead to any trust anchor');
    expect(() => check([first.certificate], 'other.org')).toThrow('is of trust domain example.org');
    expect(() => check([])).toThrow('is empty');
    const svid = await anchor.issueX509Svid('/web');
    expect(() => check(svid.certificateChain)).toThrow('not a signing certificate');
    const expired = await anchor.createIntermediate({ notAfter: new Date(Date.now() - 1000) });
    expect(() => check([expired.certificate])).toThrow('expired');
  });
});

/** The fields of a leaf under `issuer`, with a key of whoever. */
function leafOf(stranger: TestAuthority, issuer: Authority): Parameters<typeof signCertificate>[0] {
  const { subjectPublicKey } = parseX509Certificate(stranger.certificate);
  return {
    serialNumber: Buffer.from('1122', 'hex'),
    issuer: issuer.certificate.subject,
    subject: parseX509Certificate(stranger.certificate).subject,
    spki: subjectPublicKey.spki,
    notBefore,
    notAfter,
    extensions: [
      encodeKeyUsages(['digitalSignature']),
      encodeBasicConstraints({ isCa: false, pathLength: undefined }),
      encodeSubjectKeyIdentifier(subjectKeyIdentifier(subjectPublicKey.keyBits)),
      encodeAuthorityKeyIdentifier(Buffer.from(issuer.certificate.subjectKeyId ?? '', 'hex')),
      encodeSubjectAlternativeNameExtension({ uriNames: ['spiffe://example.org/web'], dnsNames: [] }, false),
    ],
  };
}

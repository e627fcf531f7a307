/** A certificate authority for tests: makes a trust domain's bundle and SVIDs, valid ones and every kind of invalid one. */
import type { KeyObject } from 'node:crypto';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { generatePrivateKey } from '@bonafide/shared/crypto/generate-key';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { parseTrustDomain, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import { createTestCertificate, type TestCertificateOptions } from './test-certificate.js';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

interface AuthorityOptions {
  /** From a minute before until a day after the real time, unless told. */
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly pathLength?: number;
}

interface SvidOptions {
  /** From a minute before until an hour after the real time, unless told. */
  readonly notBefore?: Date;
  readonly notAfter?: Date;
  readonly dnsNames?: readonly string[];
  readonly hint?: string;
  /** Fields of the certificate set to something else, to see it refused. */
  readonly certificate?: Partial<TestCertificateOptions>;
}

interface AuthorityParts {
  readonly trustDomain: TrustDomain;
  readonly name: string;
  readonly certificate: Buffer;
  readonly privateKey: KeyObject;
  /** What follows a leaf in its chain: empty for a root. */
  readonly intermediates: readonly Buffer[];
  readonly root: Buffer;
}

/**
 * @example
 * const authority = await TestAuthority.create('example.org');
 * const svid = await authority.issueX509Svid('/web');
 */
export class TestAuthority {
  readonly trustDomain: TrustDomain;
  /** The CA certificate, DER. */
  readonly certificate: Buffer;
  readonly privateKey: KeyObject;
  readonly #parts: AuthorityParts;

  private constructor(parts: AuthorityParts) {
    this.trustDomain = parts.trustDomain;
    this.certificate = parts.certificate;
    this.privateKey = parts.privateKey;
    this.#parts = parts;
  }

  /** A self-signed authority. */
  static async create(trustDomain: string, options: AuthorityOptions = {}): Promise<TestAuthority> {
    const privateKey = await generatePrivateKey('ec-p256');
    const name = `${trustDomain} test authority`;
    const certificate = createTestCertificate({
      ...authorityFields(trustDomain, name, privateKey, options),
      issuerName: name,
      issuerPublicKey: privateKey,
      signingKey: privateKey,
    });
    return new TestAuthority({
      trustDomain: parseTrustDomain(trustDomain),
      name,
      certificate,
      privateKey,
      intermediates: [],
      root: certificate,
    });
  }

  /** An authority signed by this one; the SVIDs it issues carry its certificate as an intermediate. */
  async createIntermediate(options: AuthorityOptions = {}): Promise<TestAuthority> {
    const privateKey = await generatePrivateKey('ec-p256');
    const name = `intermediate under ${this.#parts.name}`;
    const certificate = createTestCertificate({
      ...authorityFields(this.trustDomain, name, privateKey, options),
      ...this.#issuerFields(),
    });
    return new TestAuthority({
      trustDomain: this.trustDomain,
      name,
      certificate,
      privateKey,
      intermediates: [certificate, ...this.#parts.intermediates],
      root: this.#parts.root,
    });
  }

  /** @param idOrPath a path in this authority's trust domain, or a whole SPIFFE ID, of any trust domain. */
  async issueX509Svid(idOrPath: string, options: SvidOptions = {}): Promise<X509Svid> {
    const spiffeId = parseSpiffeId(
      idOrPath.startsWith('/') ? `spiffe://${this.trustDomain}${idOrPath}` : idOrPath,
    );
    const privateKey = await generatePrivateKey('ec-p256');
    const now = systemClock.now().getTime();
    const {
      notBefore = new Date(now - MINUTE_MS),
      notAfter = new Date(now + HOUR_MS),
      dnsNames = [],
    } = options;
    const leaf = createTestCertificate({
      publicKey: privateKey,
      subjectName: 'test workload',
      notBefore,
      notAfter,
      uriNames: [spiffeId],
      dnsNames,
      keyUsages: ['digitalSignature'],
      isCa: false,
      pathLength: undefined,
      extendedKeyUsages: ['serverAuth', 'clientAuth'],
      ...this.#issuerFields(),
      ...options.certificate,
    });
    return {
      spiffeId,
      certificateChain: [leaf, ...this.#parts.intermediates],
      privateKey,
      notBefore,
      notAfter,
      hint: options.hint,
    };
  }

  /** The bundle by which this authority's SVIDs are verified: the root's certificate, then those of `others`. */
  bundle(...others: readonly TestAuthority[]): TrustBundle {
    const certificates = [this.#parts.root, ...others.map((other) => other.#parts.root)];
    return {
      trustDomain: this.trustDomain,
      x509Authorities: certificates.map((certificate) => ({ certificate, isTainted: false })),
      jwtAuthorities: [],
      witAuthorities: [],
      refreshHintSeconds: undefined,
      sequenceNumber: 1,
    };
  }

  #issuerFields(): Pick<TestCertificateOptions, 'issuerName' | 'issuerPublicKey' | 'signingKey'> {
    const { name, privateKey } = this.#parts;
    return { issuerName: name, issuerPublicKey: privateKey, signingKey: privateKey };
  }
}

function authorityFields(
  trustDomain: string,
  name: string,
  publicKey: KeyObject,
  options: AuthorityOptions,
): Omit<TestCertificateOptions, 'issuerName' | 'issuerPublicKey' | 'signingKey'> {
  const now = systemClock.now().getTime();
  return {
    publicKey,
    subjectName: name,
    notBefore: options.notBefore ?? new Date(now - MINUTE_MS),
    notAfter: options.notAfter ?? new Date(now + 24 * HOUR_MS),
    uriNames: [`spiffe://${trustDomain}`],
    dnsNames: [],
    keyUsages: ['keyCertSign', 'cRLSign'],
    isCa: true,
    pathLength: options.pathLength,
    extendedKeyUsages: [],
  };
}

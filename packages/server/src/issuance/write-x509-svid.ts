/** Writes X.509-SVIDs (X509-SVID sections 2 to 4): CSR read and verified, DER from the authority's template, linted, signed; on whichever thread. */
import {
  parseCertificateSigningRequest,
  verifyCertificateSigningRequest,
} from '@bonafide/shared/crypto/certificate-signing-request';
import { encodeCertificate, generateSerialNumber } from '@bonafide/shared/crypto/sign-certificate';
import type { SigningPlace } from '@bonafide/shared/crypto/signature-algorithm';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { addSeconds, dateFromUnixSeconds, unixSeconds } from '@bonafide/shared/runtime/clock';
import { pathOf, trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { lintX509Svid } from './lint-x509-svid.js';
import type { WrittenX509Svid, X509SvidRequest } from './x509-svid-request.js';
import { X509SvidTemplate, type TemplateAuthority } from './x509-svid-template.js';

/** SVIDs begin a little in the past, for machines whose clock is behind ours; SPIRE's value. */
const NOT_BEFORE_CUSHION_SECONDS = 10;
const MAX_DNS_NAMES = 1000;

export interface X509SvidWriterOptions {
  readonly trustDomain: TrustDomain;
  readonly authority: TemplateAuthority;
  /** Where CSRs are verified; where certificates are signed is the signer's business. */
  readonly place: SigningPlace;
}

/** For one authority; there is no second way to make an X.509-SVID. */
export class X509SvidWriter {
  readonly #trustDomain: TrustDomain;
  readonly #authority: TemplateAuthority;
  readonly #place: SigningPlace;
  readonly #template: X509SvidTemplate;

  /** @throws BonafideError `internal` when the authority's certificate and key do not belong together. */
  constructor({ trustDomain, authority, place }: X509SvidWriterOptions) {
    this.#trustDomain = trustDomain;
    this.#authority = authority;
    this.#place = place;
    this.#template = new X509SvidTemplate(authority);
  }

  /** @throws BonafideError `invalid_argument` for a bad request; `unavailable` when the authority has expired. */
  async write(
    { csr, spiffeId, dnsNames, ttlSeconds }: X509SvidRequest,
    signingTime: Date,
  ): Promise<WrittenX509Svid> {
    if (trustDomainOf(spiffeId) !== this.#trustDomain) {
      throw invalidArgument(`${spiffeId} is not in trust domain ${this.#trustDomain}`);
    }
    if (pathOf(spiffeId) === '') throw invalidArgument(`${spiffeId} has no path; an X.509-SVID needs one`);
    if (!Number.isFinite(ttlSeconds) || ttlSeconds < 1)
      throw invalidArgument('the time to live must be at least 1 second');
    checkDnsNames(dnsNames);
    const request = parseCertificateSigningRequest(csr);
    const { spki, keyBits } = await verifyCertificateSigningRequest(request, this.#place);

    const template = this.#template;
    const now = dateFromUnixSeconds(unixSeconds(signingTime));
    const notBefore = addSeconds(now, -NOT_BEFORE_CUSHION_SECONDS);
    const notAfter = new Date(
      Math.min(addSeconds(now, Math.floor(ttlSeconds)).getTime(), template.notAfter.getTime()),
    );
    if (notAfter <= now) throw new BonafideError('unavailable', 'the signing authority has expired');
    const serialNumber = generateSerialNumber();
    const tbs = template.encode({ serialNumber, spiffeId, dnsNames, notBefore, notAfter, spki, keyBits });
    lintX509Svid(tbs, {
      spiffeId,
      dnsNames,
      spki,
      algorithm: template.algorithm,
      issuer: template.issuer,
      authorityKeyId: template.authorityKeyId,
      notBefore,
      notAfter,
      authorityNotAfter: template.notAfter,
    });
    const signature = await this.#authority.signer.sign(tbs, template.algorithm.hash);
    const certificate = encodeCertificate(tbs, template.algorithm, signature);
    return { certificate, serialNumber: serialNumber.toString('hex'), notBefore, notAfter };
  }
}

const DNS_LABEL = /^[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?$/;

/** Entries were checked when they were made; what goes into a certificate is checked again. */
function checkDnsNames(dnsNames: readonly string[]): void {
  if (dnsNames.length > MAX_DNS_NAMES) throw invalidArgument(`more than ${MAX_DNS_NAMES} DNS names`);
  for (const name of dnsNames) {
    const labels = name.split('.');
    const isGood = labels.every(
      (label, index) => DNS_LABEL.test(label) || (label === '*' && index === 0 && labels.length > 1),
    );
    if (!isGood || name.length > 253) {
      throw invalidArgument(
        `${JSON.stringify(name.slice(0, 300))} is not a DNS name; expected labels of letters, digits, dashes and underscores`,
      );
    }
  }
}

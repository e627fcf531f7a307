/** Issues X.509-SVIDs: CSR read and verified, DER from the authority's template, linted, signed; on the thread pool. */
import {
  parseCertificateSigningRequest,
  verifyCertificateSigningRequest,
} from '@bonafide/shared/crypto/certificate-signing-request';
import { encodeCertificate, generateSerialNumber } from '@bonafide/shared/crypto/sign-certificate';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { addSeconds, dateFromUnixSeconds, unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import { pathOf, trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { SigningAuthorities, X509SigningAuthority } from '../authority/x509-signing-authority.js';
import { lintX509Svid } from './lint-x509-svid.js';
import { SigningWindow } from './signing-window.js';
import type { IssuedX509Svid, X509SvidIssuer, X509SvidRequest } from './x509-svid-request.js';
import { X509SvidTemplate } from './x509-svid-template.js';

/** SVIDs begin a little in the past, for machines whose clock is behind ours; SPIRE's value. */
const NOT_BEFORE_CUSHION_SECONDS = 10;
const MAX_DNS_NAMES = 1000;

export interface X509SvidIssuanceOptions {
  readonly trustDomain: TrustDomain;
  readonly authorities: SigningAuthorities;
  readonly clock: Clock;
  readonly window?: SigningWindow;
}

export class X509SvidIssuance implements X509SvidIssuer {
  readonly #trustDomain: TrustDomain;
  readonly #authorities: SigningAuthorities;
  readonly #clock: Clock;
  readonly #window: SigningWindow;
  #template: { readonly authority: X509SigningAuthority; readonly template: X509SvidTemplate } | undefined;

  constructor({ trustDomain, authorities, clock, window = new SigningWindow() }: X509SvidIssuanceOptions) {
    this.#trustDomain = trustDomain;
    this.#authorities = authorities;
    this.#clock = clock;
    this.#window = window;
  }

  issue(request: X509SvidRequest): Promise<IssuedX509Svid> {
    return this.#window.run(() => this.#issue(request));
  }

  async #issue({ csr, spiffeId, dnsNames, ttlSeconds }: X509SvidRequest): Promise<IssuedX509Svid> {
    if (trustDomainOf(spiffeId) !== this.#trustDomain) {
      throw invalidArgument(`${spiffeId} is not in trust domain ${this.#trustDomain}`);
    }
    if (pathOf(spiffeId) === '') throw invalidArgument(`${spiffeId} has no path; an X.509-SVID needs one`);
    if (!Number.isFinite(ttlSeconds) || ttlSeconds < 1)
      throw invalidArgument('the time to live must be at least 1 second');
    checkDnsNames(dnsNames);
    const { spki, keyBits } = await verifyCertificateSigningRequest(parseCertificateSigningRequest(csr));

    const authority = this.#authorities.activeX509();
    const template = this.#templateOf(authority);
    const now = dateFromUnixSeconds(unixSeconds(this.#clock.now()));
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
    const signature = await authority.signer.sign(tbs, template.algorithm.hash);
    const certificate = encodeCertificate(tbs, template.algorithm, signature);
    return {
      spiffeId,
      certificateChain: [certificate, ...authority.intermediates],
      serialNumber: serialNumber.toString('hex'),
      notBefore,
      notAfter,
    };
  }

  #templateOf(authority: X509SigningAuthority): X509SvidTemplate {
    if (this.#template?.authority !== authority) {
      this.#template = { authority, template: new X509SvidTemplate(authority) };
    }
    return this.#template.template;
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

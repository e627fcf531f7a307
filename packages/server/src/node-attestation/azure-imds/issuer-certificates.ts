/** Certificates between Azure's signing keys and their root, fetched from Microsoft where a certificate says its issuer's is. */
import { caIssuerUris } from '@bonafide/shared/crypto/authority-information-access';
import { decodePem } from '@bonafide/shared/crypto/pem';
import { parseX509Certificate, type X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { sendRequest } from '@bonafide/shared/http/send-request';

/** No other host is asked, whatever a certificate says: anybody can make one. */
const ISSUER_HOST = 'www.microsoft.com';
const LIMIT_MS = 10_000;
const LARGEST_ANSWER_BYTES = 64 * 1024;
/** Azure has a few dozen; the rest would be inventions. */
const MOST_KEPT = 256;

/** Bytes of a certificate, DER or PEM; what they are is checked by their signatures, not by the way they came. */
export type FetchCertificate = (url: URL, signal: AbortSignal) => Promise<Buffer>;

export async function fetchCertificate(url: URL, signal: AbortSignal): Promise<Buffer> {
  const { status, bytes } = await sendRequest({
    method: 'GET',
    url,
    allowsPlainHttp: true, // as certificates say it (RFC 5280 section 4.2.2.1)
    limitMs: LIMIT_MS,
    largestAnswerBytes: LARGEST_ANSWER_BYTES,
    signal,
  });
  if (status !== 200) throw invalidArgument(`${url.origin} has no issuer's certificate (status ${status})`);
  return bytes;
}

export class IssuerCertificates {
  readonly #fetch: FetchCertificate;
  readonly #kept = new Map<string, X509Certificate>();

  constructor(fetch: FetchCertificate) {
    this.#fetch = fetch;
  }

  /**
   * @returns undefined: the certificate does not say where.
   * @throws BonafideError `invalid_argument` when it says a place that is not Microsoft's, or there is no certificate there; `unavailable`.
   */
  async issuerOf(certificate: X509Certificate, signal: AbortSignal): Promise<X509Certificate | undefined> {
    const [uri] = caIssuerUris(certificate);
    if (uri === undefined) return undefined;
    const kept = this.#kept.get(uri);
    if (kept !== undefined) return kept;
    const url = URL.canParse(uri) ? new URL(uri) : undefined;
    if (
      url?.host !== ISSUER_HOST ||
      (url.protocol !== 'http:' && url.protocol !== 'https:') ||
      url.username !== '' ||
      url.password !== ''
    ) {
      throw invalidArgument(`the issuer of the signing certificate is not at ${ISSUER_HOST}`);
    }
    const bytes = await this.#fetch(url, signal);
    const [der = bytes] = bytes[0] === 0x30 ? [bytes] : decodePem('CERTIFICATE', bytes.toString('latin1'));
    const issuer = parseX509Certificate(der);
    // One that does not fit would be kept for others, for whom it may be as wrong.
    if (!issuer.subject.equals(certificate.issuer))
      throw invalidArgument(`what ${ISSUER_HOST} has is not the issuer of the signing certificate`);
    this.#kept.set(uri, issuer);
    const [eldest] = this.#kept.keys();
    if (this.#kept.size > MOST_KEPT && eldest !== undefined) this.#kept.delete(eldest);
    return issuer;
  }
}

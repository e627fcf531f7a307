/** One certificate from an ACME authority (RFC 8555 section 7.4): ordered, every name validated by tls-alpn-01, finalized and fetched. */
import type { CertificatePair } from '../../crypto/certificate-pair.js';
import { createCertificateSigningRequest } from '../../crypto/certificate-signing-request.js';
import { generatePrivateKey } from '../../crypto/generate-key.js';
import { encodePem } from '../../crypto/pem.js';
import { exportPkcs8 } from '../../crypto/private-key-encoding.js';
import { BonafideError } from '../../errors/bonafide-error.js';
import type { HttpAnswer } from '../../http/send-request.js';
import { sleep, type Clock } from '../../runtime/clock.js';
import { z } from 'zod';
import { printable, readJson, requiredHeader, type AcmeSession } from './acme-session.js';
import { createValidationCertificate } from './validation-certificate.js';

const MOST_POLLS = 60;
const LONGEST_POLL_SECONDS = 30;

const problem = z.object({ type: z.string().optional(), detail: z.string().optional() }).optional();
const orderSchema = z.object({
  status: z.string(),
  authorizations: z.array(z.url()).max(100),
  finalize: z.url(),
  certificate: z.url().optional(),
  error: problem,
});
const authorizationSchema = z.object({
  status: z.string(),
  identifier: z.object({ value: z.string() }),
  challenges: z
    .array(z.object({ type: z.string(), url: z.url(), token: z.string().optional(), error: problem }))
    .max(20),
});
type Order = z.output<typeof orderSchema>;
type Authorization = z.output<typeof authorizationSchema>;

export interface OrderOptions {
  readonly session: AcmeSession;
  readonly domains: readonly string[];
  /** What the TLS server answers validations with; entries are there while they are awaited. */
  readonly validations: Map<string, CertificatePair>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** With a new key. @throws BonafideError `unavailable` naming what the authority refused. */
export async function orderCertificate(options: OrderOptions): Promise<CertificatePair> {
  const { session, domains } = options;
  const identifiers = domains.map((value) => ({ type: 'dns', value }));
  const ordered = await session.post(session.newOrderUrl, { identifiers });
  const orderUrl = requiredHeader(ordered, 'location');
  const order = readJson(orderSchema, ordered);
  // One after the other: an authority has limits, and there are few names.
  for (const url of order.authorizations) await authorize(url, options);

  const privateKey = await generatePrivateKey('ec-p256');
  const csr = await createCertificateSigningRequest(privateKey, { dnsNames: domains });
  await session.post(order.finalize, { csr: csr.toString('base64url') });
  const issued = await poll(options, orderUrl, orderSchema);
  if (issued.certificate === undefined) {
    throw new BonafideError('unavailable', 'the ACME authority issued an order without a certificate');
  }
  const { body } = await session.post(issued.certificate, undefined);
  return { cert: body, key: encodePem('PRIVATE KEY', exportPkcs8(privateKey)) };
}

async function authorize(url: string, options: OrderOptions): Promise<void> {
  const { session, validations, clock } = options;
  const authorization = readJson(authorizationSchema, await session.post(url, undefined));
  const domain = authorization.identifier.value.toLowerCase();
  if (!options.domains.includes(domain)) {
    throw new BonafideError(
      'unavailable',
      `the ACME authority asks for ${printable(domain)}, which was not ordered`,
    );
  }
  if (authorization.status === 'valid') return;
  const challenge = authorization.challenges.find(({ type }) => type === 'tls-alpn-01');
  if (challenge?.token === undefined) {
    throw new BonafideError(
      'unavailable',
      `the ACME authority offers no tls-alpn-01 validation of ${printable(domain)}, the only kind that is answered`,
    );
  }
  const keyAuthorization = session.keyAuthorization(challenge.token);
  validations.set(domain, await createValidationCertificate(domain, keyAuthorization, clock.now()));
  try {
    await session.post(challenge.url, {});
    await poll(options, url, authorizationSchema);
  } finally {
    validations.delete(domain);
  }
}

async function poll<Value extends Order | Authorization>(
  { session, clock, signal }: OrderOptions,
  url: string,
  schema: z.ZodType<Value>,
): Promise<Value> {
  for (let count = 0; count < MOST_POLLS; count += 1) {
    const answer = await session.post(url, undefined);
    const value = readJson(schema, answer);
    if (value.status === 'valid') return value;
    if (!['pending', 'processing', 'ready'].includes(value.status)) throw refused(value);
    await sleep(clock, pollSeconds(answer) * 1000, signal);
  }
  throw new BonafideError('unavailable', 'the ACME authority does not come to an end');
}

function pollSeconds({ headers }: HttpAnswer): number {
  const seconds = Number(headers['retry-after'] ?? 1);
  return Math.min(Math.max(Number.isFinite(seconds) ? seconds : 1, 1), LONGEST_POLL_SECONDS);
}

function refused(value: Order | Authorization): BonafideError {
  const problems = 'challenges' in value ? value.challenges.map(({ error }) => error) : [value.error];
  const detail = problems.find((found) => found !== undefined)?.detail ?? 'no reason given';
  const subject = 'identifier' in value ? `the name ${printable(value.identifier.value)}` : 'the order';
  return new BonafideError(
    'unavailable',
    `the ACME authority finds ${subject} ${printable(value.status)}: ${printable(detail)}`,
  );
}

/** A process that signs CSRs as a server does, with a new authority whenever it is told, for an agent that is measured. */
import { parseCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { importSpki } from '@bonafide/shared/crypto/private-key-encoding';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { createTestCertificate } from '@bonafide/testing/test-certificate';

/** Each message is answered by one, in their order. */
export type SigningQuestion =
  { readonly kind: 'replace authority' } | { readonly kind: 'sign'; readonly csrs: readonly Buffer[] };
/** DER: of the new authority, or of each CSR. */
export type SigningAnswer = readonly Buffer[];

const MINUTE_MS = 60_000;
const LIFETIME_MS = 24 * 60 * MINUTE_MS;

const [, , trustDomain = ''] = process.argv;
let authority: TestAuthority | undefined;
let turn: Promise<unknown> = Promise.resolve();

process.on('disconnect', () => process.exit());
process.on('message', (question: SigningQuestion) => {
  turn = turn.then(async () => {
    process.send?.(await answerTo(question));
  });
});

async function answerTo(question: SigningQuestion): Promise<SigningAnswer> {
  if (question.kind === 'sign') return question.csrs.map(certify);
  authority = await TestAuthority.create(trustDomain);
  return [authority.certificate];
}

function certify(csr: Buffer): Buffer {
  if (authority === undefined) throw new Error('there is no authority yet');
  const { uriNames, spki } = parseCertificateSigningRequest(csr);
  const nowMs = systemClock.now().getTime();
  return createTestCertificate({
    publicKey: importSpki(spki),
    subjectName: 'test workload',
    issuerName: `${trustDomain} test authority`,
    issuerPublicKey: authority.privateKey,
    signingKey: authority.privateKey,
    notBefore: new Date(nowMs - MINUTE_MS),
    notAfter: new Date(nowMs + LIFETIME_MS),
    uriNames,
    dnsNames: [],
    keyUsages: ['digitalSignature'],
    isCa: false,
    pathLength: undefined,
    extendedKeyUsages: ['serverAuth', 'clientAuth'],
  });
}

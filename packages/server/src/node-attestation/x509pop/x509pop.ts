/** Attestation by a certificate of someone else's PKI, or of this trust domain, and proof of holding its key. Wire, IDs and selectors are SPIRE's. */
import { randomBytes } from 'node:crypto';
import { isPossessionProven, possessionKindOf } from '@bonafide/shared/crypto/possession-proof';
import { verifyCertificatePath, type CertificatePath } from '@bonafide/shared/crypto/verify-certificate-path';
import { verifyX509Svid } from '@bonafide/shared/crypto/verify-x509-svid';
import { parseX509Certificate, type X509Certificate } from '@bonafide/shared/crypto/x509-certificate';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import {
  formatX509PopChallenge,
  NONCE_BYTES,
  parseX509PopAnswer,
  parseX509PopEvidence,
} from '@bonafide/shared/node-attestation/x509pop-messages';
import { pathOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import { configuredAgentId, parseAgentPathTemplate } from '../agent-path-template.js';
import type { NodeAttestorHost, NodeAttestorPlugin } from '../node-attestor.js';
import { watchAuthorities } from '../read-authorities.js';
import { certificateFacts, TEMPLATE_FIELDS } from './certificate-facts.js';
import { x509PopConfigSchema, type X509PopConfig } from './x509pop-config.js';

const DEFAULT_SVID_PREFIX = '/spire-exchange/';
const DEFAULT_TEMPLATES = {
  external_pki: '/{{ .PluginName }}/{{ .Fingerprint }}',
  spiffe: '/{{ .PluginName }}/{{ .SVIDPathTrimmed }}',
} as const;

export const x509pop: NodeAttestorPlugin<X509PopConfig> = {
  configSchema: x509PopConfigSchema,
  async create(config, host) {
    const verify = config.mode === 'spiffe' ? spiffeVerifier(config, host) : await pkiVerifier(config, host);
    const template = parseAgentPathTemplate(
      config.agent_path_template ?? DEFAULT_TEMPLATES[config.mode],
      TEMPLATE_FIELDS,
    );
    const { trustDomain } = host;
    return {
      async attest({ payload, now, challenge }) {
        const certificates = parseX509PopEvidence(payload);
        checkSizes(certificates, config);
        const { leaf, path, svidPathTrimmed } = await verify(certificates, now);
        await provePossession(leaf, challenge);
        const { selectors, templateValues } = certificateFacts({ path, trustDomain, svidPathTrimmed });
        return {
          agentId: configuredAgentId(trustDomain, template.render(templateValues)),
          hasConfiguredPath: config.agent_path_template !== undefined,
          selectors,
          canReattest: true,
        };
      },
    };
  },
};

interface VerifiedNode extends CertificatePath {
  readonly svidPathTrimmed: string;
}

type Verifier = (certificates: readonly Buffer[], now: Date) => Promise<VerifiedNode>;

async function pkiVerifier(config: X509PopConfig, host: NodeAttestorHost): Promise<Verifier> {
  const paths = config.ca_bundle_paths ?? [config.ca_bundle_path ?? ''];
  const files = await Promise.all(paths.map((path) => watchAuthorities(path, host)));
  return async ([leaf = Buffer.alloc(0), ...intermediates], now) => {
    const roots = (await Promise.all(files.map((file) => file.current()))).flat();
    const verified = believe(() =>
      verifyCertificatePath({
        leaf,
        intermediates,
        roots,
        now,
        maximumIntermediates: config.max_intermediates,
      }),
    );
    return { ...verified, svidPathTrimmed: '' };
  };
}

/** Nodes that have an SVID of this trust domain already, from whoever gave it to them. */
function spiffeVerifier(config: X509PopConfig, { store, trustDomain }: NodeAttestorHost): Verifier {
  const prefix = config.svid_prefix ?? config.spiffe_prefix ?? DEFAULT_SVID_PREFIX;
  return async (chain, now) => {
    const bundle = await store.bundles.get(trustDomain);
    const authorities = (bundle?.x509Authorities ?? []).map(({ certificate }) => certificate);
    const [leaf = Buffer.alloc(0), ...intermediates] = chain;
    return believe(() => {
      const svidPath = pathOf(verifyX509Svid({ chain, authorities, now, trustDomain }).spiffeId);
      if (!svidPath.startsWith(prefix)) {
        throw invalidArgument(`the path of its SPIFFE ID is ${svidPath}; accepted are those below ${prefix}`);
      }
      const verified = verifyCertificatePath({ leaf, intermediates, roots: authorities, now });
      return { ...verified, svidPathTrimmed: svidPath.slice(prefix.length) };
    });
  };
}

/** Before any signature is checked. */
function checkSizes(certificates: readonly Buffer[], config: X509PopConfig): void {
  const { max_intermediates: mostIntermediates, max_rsa_key_size: mostBits } = config;
  if (certificates.length - 1 > mostIntermediates) {
    throw invalidArgument(
      `${certificates.length - 1} intermediate certificates; accepted are ${mostIntermediates}`,
    );
  }
  for (const der of certificates) {
    const { publicKey } = parseX509Certificate(der);
    const bits = publicKey.asymmetricKeyDetails?.modulusLength ?? 0;
    if (bits > mostBits)
      throw invalidArgument(`RSA key of ${bits} bits in a certificate; accepted are ${mostBits}`);
  }
}

function believe<T>(verify: () => T): T {
  try {
    return verify();
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
    throw new BonafideError('permission_denied', `certificate verification failed: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

async function provePossession(
  leaf: X509Certificate,
  challenge: (data: Buffer) => Promise<Buffer>,
): Promise<void> {
  if (leaf.keyUsages?.has('digitalSignature') !== true) {
    throw new BonafideError('permission_denied', 'the certificate lacks the key usage digitalSignature');
  }
  const nonce = randomBytes(NONCE_BYTES);
  const kind = possessionKindOf(leaf.publicKey);
  const answer = parseX509PopAnswer(await challenge(formatX509PopChallenge({ kind, nonce })));
  if (!isPossessionProven(leaf.publicKey, Buffer.concat([nonce, answer.nonce]), answer.proof)) {
    throw new BonafideError(
      'permission_denied',
      'challenge response verification failed: it is not signed by the key of the certificate',
    );
  }
}

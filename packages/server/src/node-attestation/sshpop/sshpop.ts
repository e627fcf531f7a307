/** Attestation by an SSH host certificate and proof of holding its key. Wire and IDs are SPIRE's; it makes no selectors, as SPIRE's does not. */
import { createHash, randomBytes } from 'node:crypto';
import { parseAuthorizedKeys } from '@bonafide/shared/crypto/ssh/authorized-keys';
import { parseSshCertificate } from '@bonafide/shared/crypto/ssh/ssh-certificate';
import type { SshPublicKey } from '@bonafide/shared/crypto/ssh/ssh-public-key';
import { checkSshSignature } from '@bonafide/shared/crypto/ssh/ssh-signature';
import { BonafideError, errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import {
  formatSshPopChallenge,
  NONCE_BYTES,
  parseSshPopAnswer,
  parseSshPopEvidence,
  sshPopSignedData,
} from '@bonafide/shared/node-attestation/sshpop-messages';
import { z } from 'zod';
import { configuredAgentId, parseAgentPathTemplate } from '../agent-path-template.js';
import type { NodeAttestorHost, NodeAttestorPlugin } from '../node-attestor.js';
import { WatchedFile } from '../watched-file.js';
import { checkHostCertificate } from './check-host-certificate.js';

const TYPE = 'sshpop';
const DEFAULT_TEMPLATE = '/{{ .PluginName }}/{{ .Fingerprint }}';
const TEMPLATE_FIELDS = ['PluginName', 'Fingerprint', 'Hostname', 'ValidPrincipals', 'KeyId', 'Serial'];

const configSchema = z
  .strictObject({
    /** Lines as of `authorized_keys`. */
    cert_authorities: z.array(z.string().min(1)).min(1).optional(),
    cert_authorities_path: z.string().min(1).optional(),
    canonical_domain: z
      .string()
      .regex(/^[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)*$/, 'expected a domain such as example.org')
      .optional(),
    agent_path_template: z.string().optional(),
  })
  .superRefine((config, context) => {
    const problem = (path: string, message: string): void => {
      context.addIssue({ code: 'custom', path: [path], message });
    };
    if (config.cert_authorities === undefined && config.cert_authorities_path === undefined) {
      problem('cert_authorities', 'expected cert_authorities, cert_authorities_path or both');
    }
    for (const [name, check] of [
      ['cert_authorities', () => parseAuthorizedKeys((config.cert_authorities ?? []).join('\n'))],
      [
        'agent_path_template',
        () => parseAgentPathTemplate(config.agent_path_template ?? '', TEMPLATE_FIELDS),
      ],
    ] as const) {
      if (config[name] === undefined) continue;
      try {
        check();
      } catch (error) {
        problem(name, errorMessage(error));
      }
    }
  });

export type SshPopConfig = z.infer<typeof configSchema>;

export const sshpop: NodeAttestorPlugin<SshPopConfig> = {
  configSchema,
  async create(config, host) {
    const authorities = await certificateAuthorities(config, host);
    const template = parseAgentPathTemplate(config.agent_path_template ?? DEFAULT_TEMPLATE, TEMPLATE_FIELDS);
    return {
      async attest({ payload, now, challenge }) {
        const certificate = parseSshCertificate(parseSshPopEvidence(payload));
        const hostname = await refuse(async () =>
          checkHostCertificate(certificate, {
            authorities: await authorities(),
            canonicalDomain: config.canonical_domain,
            now,
          }),
        );
        const nonce = randomBytes(NONCE_BYTES);
        const answer = parseSshPopAnswer(await challenge(formatSshPopChallenge(nonce)));
        await refuse(() => {
          const { keyType: type, key } = certificate;
          const signed = sshPopSignedData(nonce, answer.nonce);
          checkSshSignature({ type, key }, signed, answer.signature, 'the signature of the challenge');
        });
        const path = template.render({
          PluginName: TYPE,
          Fingerprint: createHash('sha256').update(certificate.blob).digest('base64url'),
          Hostname: hostname,
          ValidPrincipals: certificate.validPrincipals,
          KeyId: certificate.keyId,
          Serial: certificate.serial.toString(),
        });
        return {
          agentId: configuredAgentId(host.trustDomain, path),
          hasConfiguredPath: config.agent_path_template !== undefined,
          selectors: [],
          canReattest: true,
        };
      },
    };
  },
};

/** Those of the configuration, and those that the file holds now. */
async function certificateAuthorities(
  { cert_authorities: lines, cert_authorities_path: path }: SshPopConfig,
  { clock, log }: NodeAttestorHost,
): Promise<() => Promise<readonly SshPublicKey[]>> {
  const own = lines === undefined ? [] : parseAuthorizedKeys(lines.join('\n'));
  if (path === undefined) return () => Promise.resolve(own);
  const file = await WatchedFile.open({
    path,
    parse: ([read]) => {
      try {
        return parseAuthorizedKeys(read?.text ?? '');
      } catch (error) {
        throw invalidArgument(
          `failed to get cert authorities from file ${path}: ${errorMessage(error)}`,
          error,
        );
      }
    },
    clock,
    log,
  });
  return async () => [...own, ...(await file.current())];
}

/** What a well-formed certificate does not prove is not allowed, rather than malformed. */
async function refuse<T>(check: () => T | Promise<T>): Promise<T> {
  try {
    return await check();
  } catch (error) {
    if (!(error instanceof BonafideError)) throw error;
    throw new BonafideError('permission_denied', errorMessage(error), { cause: error });
  }
}

/** The `node_admission` part of the server section: which nodes must be let in, by how many people, or by a webhook. */
import { isIP } from 'node:net';
import { durationSchema } from '@bonafide/shared/config/duration';
import { parsedString } from '@bonafide/shared/config/parsed-string';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { isInNetwork, parseIpAddress, parseIpNetwork } from '@bonafide/shared/http/network-address';
import { parseSelector } from '@bonafide/shared/registration/selector';
import { z } from 'zod';

const LONGEST_TIMEOUT_SECONDS = 30;
const LOOPBACK = ['127.0.0.0/8', '::1'].map(parseIpNetwork);

const ruleSchema = z
  .strictObject({
    attestor: z.string().min(1).optional(),
    selector: parsedString(parseSelector).optional(),
  })
  .refine(({ attestor, selector }) => attestor !== undefined || selector !== undefined, {
    message: 'names nothing; expected an attestor, a selector or both',
  });

const webhookSchema = z.strictObject({
  url: parsedString(parseWebhookUrl),
  timeout: durationSchema
    .refine((seconds) => seconds <= LONGEST_TIMEOUT_SECONDS, {
      message: `is longer than ${LONGEST_TIMEOUT_SECONDS}s, for which a node does not wait`,
    })
    .prefault('5s'),
  ca_path: z.string().min(1).optional(),
  bearer_token_path: z.string().min(1).optional(),
});

export const nodeAdmissionSchema = z.strictObject({
  /** A node that is new and for which one of them holds must be let in. */
  approval_required: z.array(ruleSchema).max(100).default([]),
  /** By different people. */
  approvals: z.int().min(1).max(2).default(1),
  expires_after: durationSchema.prefault('24h'),
  denied_for: durationSchema.prefault('24h'),
  webhook: webhookSchema.optional(),
});

function parseWebhookUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isAllowed = url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname));
  if (url === undefined || !isAllowed) {
    throw invalidArgument(
      `${JSON.stringify(text.slice(0, 256))} is neither an https URL nor http to this machine; expected for example https://admission.example/nodes or http://127.0.0.1:9000/`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw invalidArgument('the URL carries a password; use bearer_token_path');
  }
  return url;
}

/** By address alone: a name is what a resolver says. */
function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  if (isIP(host) === 0) return false;
  const address = parseIpAddress(host);
  return LOOPBACK.some((network) => isInNetwork(address, network));
}

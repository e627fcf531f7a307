/** A program that lets nodes in, asked over HTTPS; whatever it answers but yes or no means that the node waits. */
import { readFile } from 'node:fs/promises';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { sendRequest } from '@bonafide/shared/http/send-request';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { formatSelector } from '@bonafide/shared/registration/selector';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { z } from 'zod';
import type { NodeAdmissionRecord, NodeDecision } from '../store/node-admission-record.js';
import type { AdmissionWebhook } from './admission-gate.js';
import type { AdmissionNotices } from './admission-notices.js';
import { BY_WEBHOOK } from './admission-request.js';

export interface WebhookSettings {
  /** https, or http to this machine. */
  readonly url: URL;
  readonly timeoutSeconds: number;
  /** PEM, read again for every request, as the token is. */
  readonly caPath: string | undefined;
  readonly bearerTokenPath: string | undefined;
}

export interface HttpAdmissionWebhookOptions {
  readonly settings: WebhookSettings;
  readonly notices: AdmissionNotices;
  readonly clock: Clock;
  /** Ends the requests that are on their way. */
  readonly signal: AbortSignal;
}

const LARGEST_ANSWER_BYTES = 16 * 1024;
/** For one node. */
const ASK_EVERY_MS = 5_000;
const MOST_AT_ONCE = 32;

const answerSchema = z.strictObject({
  decision: z.enum(['allow', 'deny', 'wait']),
  /** One line. */
  reason: z
    .string()
    .max(1000)
    .regex(/^\P{Cc}*$/u)
    .default(''),
});

export class HttpAdmissionWebhook implements AdmissionWebhook {
  readonly #options: HttpAdmissionWebhookOptions;
  /** When it was last asked about each node, oldest first; those of long ago are forgotten. */
  readonly #askedAtMs = new Map<SpiffeId, number>();
  #underway = 0;

  constructor(options: HttpAdmissionWebhookOptions) {
    this.#options = options;
  }

  async ask(record: NodeAdmissionRecord): Promise<NodeDecision | undefined> {
    const { notices, clock } = this.#options;
    const { agentId } = record;
    if (record.decisions.some(({ by }) => by === BY_WEBHOOK) || !this.#isTime(agentId)) return undefined;
    this.#underway += 1;
    try {
      const { decision, reason } = await this.#exchange(record);
      await notices.webhookAnswered(agentId, decision);
      if (decision === 'wait') return undefined;
      return { by: BY_WEBHOOK, isApproval: decision === 'allow', at: clock.now(), reason };
    } catch (error) {
      await notices.webhookFailed(agentId, errorMessage(error));
      return undefined;
    } finally {
      this.#underway -= 1;
    }
  }

  #isTime(agentId: SpiffeId): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    for (const [id, askedAtMs] of this.#askedAtMs) {
      if (nowMs - askedAtMs < ASK_EVERY_MS) break;
      this.#askedAtMs.delete(id);
    }
    if (this.#askedAtMs.has(agentId) || this.#underway >= MOST_AT_ONCE) return false;
    this.#askedAtMs.set(agentId, nowMs);
    return true;
  }

  async #exchange(record: NodeAdmissionRecord): Promise<z.output<typeof answerSchema>> {
    const { settings, signal } = this.#options;
    const { url, caPath, bearerTokenPath, timeoutSeconds } = settings;
    const token = await readOptional('bearer_token_path', bearerTokenPath);
    const ca = await readOptional('ca_path', caPath);
    const { status, body } = await sendRequest({
      method: 'POST',
      url,
      allowsPlainHttp: true, // the configuration takes it for this machine alone
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${bearerToken(token)}` }),
      },
      body: JSON.stringify({
        agent_id: record.agentId,
        attestation_type: record.attestationType,
        selectors: record.selectors.map(formatSelector),
        address: record.address,
        first_asked_at: record.firstAskedAt.toISOString(),
      }),
      limitMs: timeoutSeconds * 1000,
      largestAnswerBytes: LARGEST_ANSWER_BYTES,
      tls: { ca },
      signal,
    });
    if (status !== 200) throw unusable(url, `status ${status}; expected 200, and redirects are not followed`);
    return parseAnswer(url, body);
  }
}

function parseAnswer(url: URL, body: string): z.output<typeof answerSchema> {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch (error) {
    throw unusable(url, `what is no JSON: ${errorMessage(error).slice(0, 100)}`);
  }
  const { success, data } = answerSchema.safeParse(json);
  if (!success) throw unusable(url, 'something else than {"decision": "allow", "deny" or "wait", "reason"}');
  return data;
}

function unusable(url: URL, what: string): BonafideError {
  return new BonafideError('unavailable', `the webhook at ${url.origin} answered ${what}`);
}

async function readOptional(field: string, path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new BonafideError('unavailable', `cannot read ${field} ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}

/** RFC 6750 section 2.1. */
function bearerToken(text: string): string {
  const token = text.trim();
  if (/^[A-Za-z0-9._~+/-]+=*$/.test(token)) return token;
  throw new BonafideError('unavailable', 'the file of bearer_token_path holds no bearer token');
}

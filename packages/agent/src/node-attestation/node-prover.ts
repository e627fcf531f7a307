/** Proves the node whenever the server asks for it: one proof at a time, and again as long as one does not come through. */
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { isAgentRefusal } from '@bonafide/shared/rpc/agent-refusal';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { sleep, type Clock } from '@bonafide/shared/runtime/clock';
import { isAborted } from '@bonafide/shared/runtime/is-aborted';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { retryPauseMs } from '../agent-identity/retry-pause.js';
import type { ServerChannel, ServerChannels } from '../agent-identity/server-connection.js';
import type { NodeAttestor } from './node-attestor.js';
import { proveNode, ProofRefused } from './prove-node.js';

interface NodeProverOptions {
  readonly connection: Pick<ServerChannels, 'channel' | 'discard'>;
  readonly attestor: NodeAttestor;
  readonly reportRefusal: (error: unknown, channel: ServerChannel) => void;
  /** The server looked at the proof, and an operator has to look at the node. */
  readonly onQuarantined: (why: string) => void;
  /** Told how each proof ended. */
  readonly onProof?: ((result: 'accepted' | 'quarantined' | 'failed') => void) | undefined;
  readonly explain: (error: unknown) => string;
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

const RETRY = { initialMs: 1_000, maximumMs: 60_000 };
/** What the server refuses so often it refuses for good; it will ask again in its own time. */
const MOST_REFUSALS = 5;

export class NodeProver {
  readonly #options: NodeProverOptions;
  readonly #alarm: Alarm;
  #isWanted = false;

  constructor(options: NodeProverOptions) {
    this.#options = options;
    this.#alarm = new Alarm(options.clock);
  }

  /** Returns at once. Asking again before a proof has begun changes nothing. */
  request(): void {
    const { attestor, log } = this.#options;
    if (attestor.prove === undefined) {
      log.warn(`the server asks for a proof of this node, which ${attestor.type} cannot give again`);
      return;
    }
    this.#isWanted = true;
    this.#alarm.ring();
  }

  /** Works until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (this.#isWanted) await this.#proveUntilHeard(signal);
      else await this.#alarm.wait(undefined, signal);
    }
  }

  async #proveUntilHeard(signal: AbortSignal): Promise<void> {
    const { clock, connection, explain, log, random } = this.#options;
    const backoff = new Backoff({ ...RETRY, random });
    let refusals = 0;
    while (!isAborted(signal)) {
      this.#isWanted = false;
      const channel = connection.channel();
      try {
        await this.#prove(channel, AbortSignal.any([signal, channel.superseded]));
        return;
      } catch (error) {
        if (isAborted(signal)) return;
        if (isAborted(channel.superseded)) continue;
        this.#options.onProof?.('failed');
        const cause = error instanceof ProofRefused ? error.cause : error;
        if (error instanceof ProofRefused) {
          if (this.#isFinal(cause, channel)) return;
          refusals += hasReason(cause, 'unavailable', 'deadline_exceeded') ? 0 : 1;
          if (refusals >= MOST_REFUSALS) {
            log.error(`the server refuses every proof of this node, the last one: ${explain(cause)}`);
            return;
          }
        }
        const delayMs = retryPauseMs(backoff.nextDelayMs(), cause, random);
        log.error({ retryInMs: Math.round(delayMs) }, `cannot prove this node: ${explain(cause)}`);
        await sleep(clock, delayMs, signal).catch(() => undefined); // the loop ends with its signal
      }
    }
  }

  async #prove(channel: ServerChannel, signal: AbortSignal): Promise<void> {
    const { attestor, log, onQuarantined } = this.#options;
    log.debug('proving this node');
    const { findings, isQuarantined } = await proveNode({ channel, attestor, signal });
    this.#options.onProof?.(isQuarantined ? 'quarantined' : 'accepted');
    const why = findings.join('; ');
    if (isQuarantined) onQuarantined(why === '' ? 'the server does not say why' : why);
    else log.info({ findings }, 'the server has accepted the proof of this node');
  }

  /** @returns whether another attempt is in vain, whatever the node shows. */
  #isFinal(error: unknown, channel: ServerChannel): boolean {
    const { connection, log, reportRefusal } = this.#options;
    reportRefusal(error, channel);
    if (hasReason(error, 'unavailable', 'deadline_exceeded')) connection.discard(channel);
    if (hasReason(error, 'unimplemented')) {
      log.warn('the server asks for a proof of this node and has no way to take one');
      return true;
    }
    return error instanceof BonafideError && isAgentRefusal(error.reason);
  }
}

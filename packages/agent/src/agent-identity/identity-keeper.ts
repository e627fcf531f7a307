/** Keeps the agent's own SVID good: loads or obtains it, renews it around half life, attests anew when the server asks for it. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { isAgentRefusal } from '@bonafide/shared/rpc/agent-refusal';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { SetBacks } from '@bonafide/shared/runtime/set-backs';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import type { AgentIdentity } from './agent-identity.js';
import { HeldIdentity, type HeldIdentityOptions } from './held-identity.js';
import type { ServerChannel, ServerConnection } from './server-connection.js';
import { renewAgent } from './renew-agent.js';
import { retryAfterMs, retryPauseMs } from './retry-pause.js';
import { lastWords, turnedAway } from './turned-away.js';
import { isTransient, RETRY_PAUSES, untilItWorks } from './until-it-works.js';

interface IdentityKeeperOptions extends HeldIdentityOptions {
  readonly connection: ServerConnection;
  /** Proves the node and brings an SVID. */
  readonly attest: (signal: AbortSignal) => Promise<AgentIdentity>;
  /** False once there is nothing left to prove the node with, such as a join token that was used. */
  readonly canAttest: () => boolean;
  /** The server will not deal with the workloads of this node until an operator has looked at it. */
  readonly onQuarantined: (refusal: BonafideError) => void;
  /** Waits for its server as long as it takes, for there is another way to believe one when this one fails. */
  readonly isAlwaysPatient: () => boolean;
  /** Puts what went wrong into words for the operator. */
  readonly explain: (error: unknown) => string;
}

/** A server that is away at the first start may be on its way; as long as SPIRE's agent does, we wait for it. */
const FIRST_ATTESTATION_MS = 60_000;

export class IdentityKeeper {
  readonly #options: IdentityKeeperOptions;
  readonly #held: HeldIdentity;
  readonly #alarm: Alarm;
  readonly #setBacks: SetBacks;
  readonly #retry: Backoff;
  #refusal: BonafideError | undefined;
  /** A renewal under way. */
  #renewal: Promise<void> | undefined;
  /** The last renewal did not reach the server: it is worth trying again as soon as somebody else does. */
  #mayHurry = false;

  constructor(options: IdentityKeeperOptions) {
    this.#options = options;
    this.#held = new HeldIdentity(options);
    this.#alarm = new Alarm(options.clock);
    this.#setBacks = new SetBacks(options.clock);
    this.#retry = new Backoff({ ...RETRY_PAUSES, random: options.policy.random });
  }

  get svid(): X509Svid | undefined {
    return this.#held.present?.svid;
  }

  /** Whether the server takes the same evidence again. */
  get canReattest(): boolean {
    return this.#held.present?.canReattest === true;
  }

  /** Whether there is something left to prove the node with, once the SVID has expired. */
  get canAttestAgain(): boolean {
    return this.canReattest || this.#options.canAttest();
  }

  /** Takes up the stored identity. @returns false when there is none that is still good. */
  restore(): Promise<boolean> {
    return this.#held.restore();
  }

  /**
   * Attests until it succeeds.
   * @param isPatient the agent has SVIDs of an earlier run to serve and waits for its server as long as it takes.
   * @throws BonafideError when the server refuses, or cannot be reached for a minute.
   */
  async attest(isPatient: boolean, signal: AbortSignal): Promise<void> {
    const { clock, explain, isAlwaysPatient, log, policy } = this.#options;
    await untilItWorks(
      () => this.#attestOnce(signal),
      {
        what: 'node attestation',
        limitMs: isPatient || isAlwaysPatient() ? undefined : FIRST_ATTESTATION_MS,
        explain,
        random: policy.random,
        clock,
        log,
      },
      signal,
    );
  }

  /**
   * Any call that failed reports it here; it counts when the server refused it because of who we are.
   * @param channel on which the call was made: the identity of an earlier one is no longer ours.
   */
  reportRefusal(error: unknown, channel: ServerChannel): void {
    if (!(error instanceof BonafideError) || !isAgentRefusal(error.reason)) return;
    if (channel.identity !== this.svid) return;
    if (error.reason === 'agent_quarantined') this.#options.onQuarantined(error);
    else {
      this.#refusal = error;
      this.#alarm.ring();
    }
  }

  /** To be called when authorities have been tainted: replaces an SVID under one of them as soon as possible. */
  review(): void {
    if (!this.#held.isTainted) return;
    this.#options.log.info('Agent SVID is tainted by a root authority, forcing rotation');
    this.replaceNow();
  }

  /** Replaces the SVID as soon as possible. */
  replaceNow(): void {
    if (this.svid === undefined) return;
    this.#held.renewIn(0);
    this.#alarm.ring();
  }

  /** The server is heard again: a renewal that could not reach it is tried now. */
  retryNow(): void {
    if (!this.#mayHurry) return;
    this.#mayHurry = false;
    this.replaceNow();
  }

  /** Resolves once no renewal of the agent's own SVID is due or under way: whatever else is renewed needs it. Never rejects. */
  async goesFirst(): Promise<void> {
    if (this.#renewal === undefined && this.#held.isDue) {
      this.#alarm.ring();
      await nextTurn(); // in which the loop below begins
    }
    await this.#renewal;
  }

  /**
   * Works until the signal fires.
   * @throws BonafideError when the server has turned the agent away for good; the stored identity is deleted by then.
   */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#held.bringForward(this.#setBacks.take());
      if (this.#refusal !== undefined) await this.#answerRefusal(this.#refusal, signal);
      else if (this.#held.isDue) {
        const renewal = this.#renew(signal);
        this.#renewal = renewal.catch(() => undefined); // which fails for whoever runs the keeper
        try {
          await renewal;
        } finally {
          this.#renewal = undefined;
        }
      } else await this.#alarm.wait(this.#held.renewAt, signal);
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { clock, explain, log, policy, storage } = this.#options;
    const identity = this.#held.present;
    if (identity === undefined) return;
    const { notAfter, spiffeId } = identity.svid;
    const isExpired = notAfter <= clock.now();
    try {
      // SPIRE's servers renew only agents that cannot attest again.
      if (identity.canReattest) await this.#attestOnce(signal);
      else if (isExpired) await this.#renewExpired(identity, signal);
      else await this.#renewOnce(identity, signal);
      this.#retry.reset();
    } catch (error) {
      if (signal.aborted) return;
      if (isExpired && !isTransient(error)) {
        const expired = new BonafideError('agent_expired', explain(error), { cause: error });
        await storage.delete();
        throw turnedAway(expired, spiffeId);
      }
      const delayMs = retryPauseMs(this.#retry.nextDelayMs(), error, policy.random);
      this.#mayHurry = retryAfterMs(error) === 0 && hasReason(error, 'unavailable', 'deadline_exceeded');
      this.#held.renewIn(delayMs);
      log.error(
        { notAfter, isExpired, retryInMs: Math.round(delayMs) },
        `cannot renew the agent SVID: ${explain(error)}`,
      );
    }
  }

  /** Whether it has expired is for the server to say, since our clock may be wrong; one that has opens no connection. */
  async #renewExpired(identity: AgentIdentity, signal: AbortSignal): Promise<void> {
    try {
      await this.#renewOnce(identity, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      const { log } = this.#options;
      log.debug({ err: error }, 'the expired agent SVID cannot be renewed, attesting with what there is');
      await this.#attestOnce(signal);
    }
  }

  async #renewOnce({ svid: old }: AgentIdentity, signal: AbortSignal): Promise<void> {
    const { connection, log } = this.#options;
    const channel = connection.channel();
    try {
      const svid = await renewAgent(channel, old.spiffeId, signal);
      await this.#adopt({ svid, canReattest: false });
      log.info({ spiffeId: svid.spiffeId, notAfter: svid.notAfter }, 'Successfully rotated agent SVID');
    } catch (error) {
      this.reportRefusal(error, channel);
      if (hasReason(error, 'unavailable', 'deadline_exceeded')) connection.discard(channel);
      throw error;
    }
  }

  async #attestOnce(signal: AbortSignal): Promise<void> {
    const { attest, log, onQuarantined } = this.#options;
    const isFirst = this.svid === undefined;
    log.info(isFirst ? 'SVID is not found. Starting node attestation' : 'Starting node attestation');
    try {
      const identity = await attest(signal);
      await this.#adopt(identity);
      const { notAfter, spiffeId } = identity.svid;
      const fields = { spiffeId, notAfter, reattestable: identity.canReattest };
      log.info(fields, isFirst ? 'Node attestation was successful' : 'Successfully reattested node');
    } catch (error) {
      if (hasReason(error, 'agent_quarantined')) onQuarantined(error);
      throw error;
    }
  }

  async #adopt(identity: AgentIdentity): Promise<void> {
    const isPresentRefused = this.#refusal !== undefined;
    await this.#held.adopt(identity, { isPresentRefused, retry: this.#retry });
    this.#refusal = undefined;
    this.#mayHurry = false;
  }

  /** As SPIRE does: a banned agent ends, any other attests again if it can. */
  async #answerRefusal(refusal: BonafideError, signal: AbortSignal): Promise<void> {
    const { explain, log, storage } = this.#options;
    const spiffeId = this.svid?.spiffeId ?? 'this agent';
    const canTry = refusal.reason !== 'agent_banned' && this.canAttestAgain;
    if (!canTry) {
      log.warn({ spiffeId }, lastWords(refusal));
      await storage.delete();
      throw turnedAway(refusal, spiffeId);
    }
    log.warn({ spiffeId, err: refusal }, 'Agent needs to re-attest; will attempt to re-attest');
    try {
      await this.attest(true, signal);
    } catch (error) {
      if (signal.aborted) return;
      await storage.delete();
      throw turnedAway(refusal, spiffeId, { why: explain(error) });
    }
  }
}

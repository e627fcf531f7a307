/** Keeps the agent's own SVID good: loads or obtains it, renews it around half life, attests anew when the server asks for it. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BonafideError, errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { isAgentRefusal } from '@bonafide/shared/rpc/agent-refusal';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import { SetBacks } from '@bonafide/shared/runtime/set-backs';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import {
  canMeetTarget,
  renewalTimeOfNew,
  renewalTimeOfStored,
  type RenewalPolicy,
} from '../svid-renewal/renewal-time.js';
import type { AgentIdentity } from './agent-identity.js';
import type { IdentityStorage } from './identity-file.js';
import type { ServerChannel, ServerConnection } from './server-connection.js';
import { renewAgent } from './renew-agent.js';
import { retryAfterMs, retryPauseMs } from './retry-pause.js';
import { turnedAway } from './turned-away.js';
import { isTransient, RETRY_PAUSES, untilItWorks } from './until-it-works.js';

interface IdentityKeeperOptions {
  readonly connection: ServerConnection;
  readonly storage: IdentityStorage;
  /** Proves the node and brings an SVID. */
  readonly attest: (signal: AbortSignal) => Promise<AgentIdentity>;
  /** False once there is nothing left to prove the node with, such as a join token that was used. */
  readonly canAttest: () => boolean;
  /** Whether the SVID stands under an authority that may have been stolen, as far as is known now. */
  readonly isTainted: (svid: X509Svid) => boolean;
  /** Puts what went wrong into words for the operator. */
  readonly explain: (error: unknown) => string;
  readonly policy: RenewalPolicy;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A server that is away at the first start may be on its way; as long as SPIRE's agent does, we wait for it. */
const FIRST_ATTESTATION_MS = 60_000;
/** Between attempts at an SVID that is not tainted. */
const TAINTED_RETRY = { initialMs: 1_000, maximumMs: 60_000 };

export class IdentityKeeper {
  readonly #options: IdentityKeeperOptions;
  readonly #alarm: Alarm;
  readonly #setBacks: SetBacks;
  readonly #retry: Backoff;
  readonly #taintedRetry: Backoff;
  #identity: AgentIdentity | undefined;
  #renewAt: Date | undefined;
  #refusal: BonafideError | undefined;
  /** A renewal under way. */
  #renewal: Promise<void> | undefined;
  /** The last renewal did not reach the server: it is worth trying again as soon as somebody else does. */
  #mayHurry = false;
  #isWarned = false;

  constructor(options: IdentityKeeperOptions) {
    this.#options = options;
    this.#alarm = new Alarm(options.clock);
    this.#setBacks = new SetBacks(options.clock);
    const { random } = options.policy;
    this.#retry = new Backoff({ ...RETRY_PAUSES, random });
    this.#taintedRetry = new Backoff({ ...TAINTED_RETRY, random });
  }

  get svid(): X509Svid | undefined {
    return this.#identity?.svid;
  }

  /** Whether there is something left to prove the node with, once the SVID has expired. */
  get canAttestAgain(): boolean {
    return this.#identity?.canReattest === true || this.#options.canAttest();
  }

  /** Takes up the stored identity. @returns false when there is none that is still good. */
  async restore(): Promise<boolean> {
    const { clock, connection, log, policy, storage } = this.#options;
    const stored = await storage.load();
    if (stored === undefined) return false;
    const { spiffeId, notAfter } = stored.svid;
    if (notAfter <= clock.now()) {
      log.warn({ spiffeId, notAfter }, 'the stored agent SVID has expired');
      return false;
    }
    log.info({ spiffeId, notAfter }, 'agent SVID loaded');
    this.#identity = stored;
    this.#renewAt = renewalTimeOfStored(stored.svid, clock.now(), policy);
    connection.identify(stored.svid);
    return true;
  }

  /**
   * Attests until it succeeds.
   * @param isPatient the agent has SVIDs of an earlier run to serve and waits for its server as long as it takes.
   * @throws BonafideError when the server refuses, or cannot be reached for a minute.
   */
  async attest(isPatient: boolean, signal: AbortSignal): Promise<void> {
    const { clock, explain, log, policy } = this.#options;
    await untilItWorks(
      () => this.#attestOnce(signal),
      {
        what: 'node attestation',
        limitMs: isPatient ? undefined : FIRST_ATTESTATION_MS,
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
    if (channel.identity !== this.#identity?.svid) return;
    this.#refusal = error;
    this.#alarm.ring();
  }

  /** To be called when authorities have been tainted: replaces an SVID under one of them as soon as possible. */
  review(): void {
    if (this.#identity === undefined || !this.#options.isTainted(this.#identity.svid)) return;
    this.#renewAt = this.#options.clock.now();
    this.#alarm.ring();
  }

  /** The server is heard again: a renewal that could not reach it is tried now. */
  retryNow(): void {
    if (!this.#mayHurry) return;
    this.#mayHurry = false;
    this.#renewAt = this.#options.clock.now();
    this.#alarm.ring();
  }

  /** Resolves once no renewal of the agent's own SVID is due or under way: whatever else is renewed needs it. Never rejects. */
  async goesFirst(): Promise<void> {
    const isDue = this.#renewAt !== undefined && this.#renewAt <= this.#options.clock.now();
    if (this.#renewal === undefined && isDue) {
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
      const setBackMs = this.#setBacks.take();
      if (setBackMs > 0 && this.#renewAt !== undefined) {
        this.#renewAt = new Date(this.#renewAt.getTime() - setBackMs);
      }
      if (this.#refusal !== undefined) await this.#answerRefusal(this.#refusal, signal);
      else if (this.#renewAt !== undefined && this.#renewAt <= this.#options.clock.now()) {
        const renewal = this.#renew(signal);
        this.#renewal = renewal.catch(() => undefined); // which fails for whoever runs the keeper
        try {
          await renewal;
        } finally {
          this.#renewal = undefined;
        }
      } else await this.#alarm.wait(this.#renewAt, signal);
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { clock, explain, log, policy, storage } = this.#options;
    const identity = this.#identity;
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
      this.#renewAt = new Date(clock.now().getTime() + delayMs);
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
      this.#options.log.debug(
        { err: error },
        'the expired agent SVID cannot be renewed, attesting with what there is',
      );
      await this.#attestOnce(signal);
    }
  }

  async #renewOnce({ svid: old }: AgentIdentity, signal: AbortSignal): Promise<void> {
    const { connection, log } = this.#options;
    const channel = connection.channel();
    try {
      const svid = await renewAgent(channel, old.spiffeId, signal);
      await this.#adopt({ svid, canReattest: false });
      log.info({ spiffeId: svid.spiffeId, notAfter: svid.notAfter }, 'agent SVID renewed');
    } catch (error) {
      this.reportRefusal(error, channel);
      if (hasReason(error, 'unavailable', 'deadline_exceeded')) connection.discard(channel);
      throw error;
    }
  }

  async #attestOnce(signal: AbortSignal): Promise<void> {
    this.#options.log.info('starting node attestation');
    const identity = await this.#options.attest(signal);
    await this.#adopt(identity);
    this.#options.log.info(
      {
        spiffeId: identity.svid.spiffeId,
        notAfter: identity.svid.notAfter,
        reattestable: identity.canReattest,
      },
      'node attestation was successful',
    );
  }

  /**
   * On disk before it is used, for the server forgets the old SVID with the first use of the new one. On a full disk the old one serves
   * as long as it can, and then memory must do: what a token was spent on is not to be lost.
   */
  async #adopt(identity: AgentIdentity): Promise<void> {
    const { clock, connection, isTainted, log, policy, storage } = this.#options;
    const { svid } = identity;
    let isKept = true;
    try {
      await storage.save(identity);
    } catch (error) {
      if (this.#lasts()) throw error;
      isKept = false;
      log.error(
        { spiffeId: svid.spiffeId, notAfter: svid.notAfter },
        `cannot keep the agent SVID on disk, the agent would need new evidence if it were restarted: ${errorMessage(error)}`,
      );
    }
    const now = clock.now();
    this.#identity = identity;
    this.#refusal = undefined;
    this.#mayHurry = false;
    if (!isKept) {
      this.#renewAt = new Date(now.getTime() + this.#retry.nextDelayMs());
    } else if (isTainted(svid)) {
      // The server signed it just before it knew, and by now we may have been told.
      this.#renewAt = new Date(now.getTime() + this.#taintedRetry.nextDelayMs());
    } else {
      this.#taintedRetry.reset();
      this.#renewAt = renewalTimeOfNew(svid, now, policy);
    }
    this.#warnOfShortLife(svid, now);
    connection.identify(svid);
  }

  #warnOfShortLife({ notAfter, spiffeId }: X509Svid, now: Date): void {
    const { log, policy } = this.#options;
    const target = policy.availabilityTargetSeconds;
    if (target === undefined || this.#isWarned) return;
    if (canMeetTarget(notAfter.getTime() - now.getTime(), target)) return;
    this.#isWarned = true;
    log.warn(
      { spiffeId, notAfter, availabilityTargetSeconds: target },
      "the agent's own SVID cannot meet the availability target and is renewed at half life; agent_ttl of the server, and its ca_ttl, must exceed the target by more than 12h",
    );
  }

  /** More than a quarter of its life is left to the present SVID: time to make room on the disk. */
  #lasts(): boolean {
    if (this.#identity === undefined || this.#refusal !== undefined) return false;
    const { notBefore, notAfter } = this.#identity.svid;
    return (
      notAfter.getTime() - this.#options.clock.now().getTime() >
      (notAfter.getTime() - notBefore.getTime()) / 4
    );
  }

  /** As SPIRE does: a banned agent ends, any other attests again if it can. */
  async #answerRefusal(refusal: BonafideError, signal: AbortSignal): Promise<void> {
    const { explain, log, storage } = this.#options;
    const spiffeId = this.#identity?.svid.spiffeId ?? 'this agent';
    const canTry = refusal.reason !== 'agent_banned' && this.canAttestAgain;
    if (!canTry) {
      await storage.delete();
      throw turnedAway(refusal, spiffeId);
    }
    log.warn({ spiffeId }, `the server asks the agent to attest again: ${refusal.message}`);
    try {
      await this.attest(true, signal);
    } catch (error) {
      if (signal.aborted) return;
      await storage.delete();
      throw turnedAway(refusal, spiffeId, { why: explain(error) });
    }
  }
}

/** The agent's own SVID as it is held: on disk before it is used, and with the moment at which it is to be renewed. */
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';
import {
  canMeetTarget,
  renewalTimeOfNew,
  renewalTimeOfStored,
  type RenewalPolicy,
} from '../svid-renewal/renewal-time.js';
import type { AgentIdentity } from './agent-identity.js';
import type { IdentityStorage } from './identity-file.js';
import type { ServerConnection } from './server-connection.js';

export interface HeldIdentityOptions {
  readonly connection: Pick<ServerConnection, 'identify'>;
  readonly storage: IdentityStorage;
  /** Whether the SVID stands under an authority that may have been stolen, as far as is known now. */
  readonly isTainted: (svid: X509Svid) => boolean;
  readonly policy: RenewalPolicy;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Adoption {
  /** The server takes the present SVID no longer. */
  readonly isPresentRefused: boolean;
  /** When to try again, should the disk not take the new one. */
  readonly retry: Backoff;
}

/** Between attempts at an SVID that is not tainted. */
const TAINTED_RETRY = { initialMs: 1_000, maximumMs: 60_000 };

export class HeldIdentity {
  readonly #options: HeldIdentityOptions;
  readonly #taintedRetry: Backoff;
  #present: AgentIdentity | undefined;
  #renewAt: Date | undefined;
  #isWarned = false;

  constructor(options: HeldIdentityOptions) {
    this.#options = options;
    this.#taintedRetry = new Backoff({ ...TAINTED_RETRY, random: options.policy.random });
  }

  get present(): AgentIdentity | undefined {
    return this.#present;
  }

  get renewAt(): Date | undefined {
    return this.#renewAt;
  }

  get isDue(): boolean {
    return this.#renewAt !== undefined && this.#renewAt <= this.#options.clock.now();
  }

  get isTainted(): boolean {
    return this.#present !== undefined && this.#options.isTainted(this.#present.svid);
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
    log.info({ spiffeId, notAfter }, 'SVID loaded');
    this.#present = stored;
    this.#renewAt = renewalTimeOfStored(stored.svid, clock.now(), policy);
    connection.identify(stored.svid);
    return true;
  }

  /**
   * On disk before it is used, for the server forgets the old SVID with the first use of the new one. On a full disk the old one serves
   * as long as it can, and then memory must do: what a token was spent on is not to be lost.
   */
  async adopt(identity: AgentIdentity, { isPresentRefused, retry }: Adoption): Promise<void> {
    const { clock, connection, isTainted, log, policy, storage } = this.#options;
    const { svid } = identity;
    let isKept = true;
    try {
      await storage.save(identity);
    } catch (error) {
      if (!isPresentRefused && this.#lasts()) throw error;
      isKept = false;
      log.error(
        { spiffeId: svid.spiffeId, notAfter: svid.notAfter },
        `cannot keep the agent SVID on disk, the agent would need new evidence if it were restarted: ${errorMessage(error)}`,
      );
    }
    const now = clock.now();
    this.#present = identity;
    if (!isKept) {
      this.#renewAt = new Date(now.getTime() + retry.nextDelayMs());
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

  /** @param delayMs 0: renew now. */
  renewIn(delayMs: number): void {
    this.#renewAt = new Date(this.#options.clock.now().getTime() + delayMs);
  }

  /** The clock was set back by so much. */
  bringForward(setBackMs: number): void {
    if (setBackMs > 0 && this.#renewAt !== undefined) {
      this.#renewAt = new Date(this.#renewAt.getTime() - setBackMs);
    }
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
    if (this.#present === undefined) return false;
    const { notBefore, notAfter } = this.#present.svid;
    return (
      notAfter.getTime() - this.#options.clock.now().getTime() >
      (notAfter.getTime() - notBefore.getTime()) / 4
    );
  }
}

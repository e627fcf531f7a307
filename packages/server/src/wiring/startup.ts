/** What each stage of the start is lent. */
import type { LiveConfig } from '@bonafide/shared/config/live-config';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { Shutdown } from '@bonafide/shared/runtime/shutdown';
import type { ServerConfig } from '../configuration/server-config.js';
import type { NodeAttestor, NodeAttestorHost } from '../node-attestation/node-attestor.js';
import type { ThreadProgram } from '../issuance/threads/signing-thread.js';

export interface ServerHost {
  readonly clock: Clock;
  /** Its level is what the logger service reads and changes. */
  readonly log: Logger;
  /** Undefined: what is configured stays until the server ends. */
  readonly live?: LiveConfig<ServerConfig> | undefined;
  /** What signing threads run, when it is not what stands beside the server's other files. */
  readonly signingThreadProgram?: ThreadProgram;
  /** By attestation type, beside those that the configuration names. */
  readonly moreNodeAttestors?: (host: NodeAttestorHost) => ReadonlyMap<string, NodeAttestor>;
}

export interface Startup extends ServerHost {
  readonly config: ServerConfig;
  /** Undoes what the stages start, in the reverse order. */
  readonly shutdown: Shutdown;
  /** Ends what runs without being called. */
  readonly background: AbortController;
}

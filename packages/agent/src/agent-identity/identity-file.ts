/** The agent's own SVID and key on disk: one 0600 file, so that the two can never be of different age. */
import { unlink } from 'node:fs/promises';
import { z } from 'zod';
import { exportPkcs8, exportSpki, importPkcs8 } from '@bonafide/shared/crypto/private-key-encoding';
import { errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { Logger } from '@bonafide/shared/runtime/logger';
import {
  readFileIfExists,
  removeUnfinishedWrites,
  writeFileAtomic,
} from '@bonafide/shared/runtime/private-file';
import { isAgentId, trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { createX509Svid } from '../svid-renewal/create-x509-svid.js';
import type { AgentIdentity } from './agent-identity.js';

const fileSchema = z.strictObject({
  version: z.literal(1),
  certificate_chain: z.array(z.base64()).min(1).max(16),
  private_key: z.base64(),
  can_reattest: z.boolean(),
});

export interface IdentityStorage {
  load(): Promise<AgentIdentity | undefined>;
  save(identity: AgentIdentity): Promise<void>;
  delete(): Promise<void>;
}

export class IdentityFile implements IdentityStorage {
  readonly #path: string;
  readonly #trustDomain: TrustDomain;
  readonly #log: Logger;

  constructor(options: { readonly path: string; readonly trustDomain: TrustDomain; readonly log: Logger }) {
    this.#path = options.path;
    this.#trustDomain = options.trustDomain;
    this.#log = options.log;
  }

  /** Undefined when there is none, or it is damaged, which is logged: the agent then attests anew. */
  async load(): Promise<AgentIdentity | undefined> {
    await removeUnfinishedWrites(this.#path);
    const bytes = await readFileIfExists(this.#path);
    if (bytes === undefined) return undefined;
    try {
      return this.#parse(bytes.toString('utf8'));
    } catch (error) {
      this.#log.warn(
        { path: this.#path },
        `ignoring the stored agent SVID, which cannot be used: ${errorMessage(error)}`,
      );
      return undefined;
    }
  }

  async save({ svid, canReattest }: AgentIdentity): Promise<void> {
    const file: z.infer<typeof fileSchema> = {
      version: 1,
      certificate_chain: svid.certificateChain.map((der) => der.toString('base64')),
      private_key: exportPkcs8(svid.privateKey).toString('base64'),
      can_reattest: canReattest,
    };
    await writeFileAtomic(this.#path, JSON.stringify(file));
  }

  async delete(): Promise<void> {
    try {
      await unlink(this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }

  #parse(text: string): AgentIdentity {
    const file = fileSchema.parse(JSON.parse(text));
    const chain = file.certificate_chain.map((base64) => Buffer.from(base64, 'base64'));
    const privateKey = importPkcs8(Buffer.from(file.private_key, 'base64'));
    const svid = createX509Svid(chain, privateKey, exportSpki(privateKey));
    if (trustDomainOf(svid.spiffeId) !== this.#trustDomain || !isAgentId(svid.spiffeId)) {
      throw invalidArgument(
        `it is of ${svid.spiffeId}; expected an agent of trust domain ${this.#trustDomain}`,
      );
    }
    return { svid, canReattest: file.can_reattest };
  }
}

/** For an agent that is to leave no key behind: it attests anew after each start. */
export class IdentityMemory implements IdentityStorage {
  load(): Promise<AgentIdentity | undefined> {
    return Promise.resolve(undefined);
  }
  save(): Promise<void> {
    return Promise.resolve();
  }
  delete(): Promise<void> {
    return Promise.resolve();
  }
}

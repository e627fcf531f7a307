/** The `unix` workload attestor: user, groups and, on request, path and digest of the binary; the selectors are SPIRE's. */
import { readFileSync, readlinkSync } from 'node:fs';
import { isUtf8 } from 'node:buffer';
import { join } from 'node:path';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { createSelector, type Selector } from '@bonafide/shared/registration/selector';
import { z } from 'zod';
import type { AttestedProcess } from './attested-process.js';
import { BinaryDigests } from './binary-digest.js';
import { PasswdFile } from './passwd-file.js';
import { parseProcessStatus } from './process-status.js';
import type { WorkloadAttestor, WorkloadAttestorHost, WorkloadAttestorPlugin } from './workload-attestor.js';

const configSchema = z.strictObject({
  /** Whether `path` and `sha256` are proven too; the agent must then be allowed to read the `exe` link of every workload. */
  discover_workload_path: z.boolean().default(false),
  /** Bytes above which a binary is not hashed and attestation fails; 0: no limit; negative: never hash, no `sha256`. */
  workload_size_limit: z.int().default(0),
});

export const unix = {
  configSchema,
  create: (config, host): WorkloadAttestor => new UnixAttestor(config, host),
} satisfies WorkloadAttestorPlugin<z.output<typeof configSchema>>;

class UnixAttestor implements WorkloadAttestor {
  readonly #config: z.output<typeof configSchema>;
  readonly #users: PasswdFile;
  readonly #groups: PasswdFile;
  readonly #digests = new BinaryDigests();

  constructor(config: z.output<typeof configSchema>, { passwdPath, groupPath, log }: WorkloadAttestorHost) {
    this.#config = config;
    this.#users = new PasswdFile({ path: passwdPath, log });
    this.#groups = new PasswdFile({ path: groupPath, log });
  }

  async attest(process: AttestedProcess, signal: AbortSignal): Promise<readonly Selector[]> {
    // procfs answers from memory in microseconds: a round through the thread pool would cost more than it spares.
    const status = parseProcessStatus(readFileSync(join(process.procPath, 'status'), 'utf8'));
    // Facts of before and after a change of identity must not be mixed: a set-uid program gets new groups, not a new connection.
    if (status.effectiveUid !== process.uid || status.effectiveGid !== process.gid) {
      throw new BonafideError('unauthenticated', 'the process changed its user or group after it connected');
    }
    return [
      ...named('uid', process.uid, 'user', this.#users),
      ...named('gid', process.gid, 'group', this.#groups),
      ...status.supplementaryGids.flatMap((gid) =>
        named('supplementary_gid', gid, 'supplementary_group', this.#groups),
      ),
      ...(this.#config.discover_workload_path ? await this.#binary(process, signal) : []),
    ];
  }

  async #binary(process: AttestedProcess, signal: AbortSignal): Promise<readonly Selector[]> {
    const exe = join(process.procPath, 'exe');
    const path = readlinkSync(exe, 'buffer');
    // A replacement character would make two different paths one selector.
    if (!isUtf8(path))
      throw new BonafideError('failed_precondition', "the path of the workload's binary is not UTF-8");
    const selectors = [unixSelector('path', path.toString('utf8'))];
    if (this.#config.workload_size_limit < 0) return selectors;
    const digest = await this.#digests.sha256(exe, { sizeLimit: this.#config.workload_size_limit, signal });
    return [...selectors, unixSelector('sha256', digest)];
  }
}

function named(idKind: string, id: number, nameKind: string, names: PasswdFile): readonly Selector[] {
  const name = names.nameOf(id);
  return [unixSelector(idKind, String(id)), ...(name === undefined ? [] : [unixSelector(nameKind, name)])];
}

function unixSelector(kind: string, value: string): Selector {
  return createSelector('unix', `${kind}:${value}`);
}

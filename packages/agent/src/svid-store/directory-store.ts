/** The SVID store `directory`: a folder an entry, below one that is the store's own. */
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { createDirectory } from '@bonafide/shared/runtime/create-directory';
import { z } from 'zod';
import { certificatesPem, pemTexts, type DeliveredIdentity } from './delivered-identity.js';
import { FolderLock } from './folder-lock.js';
import type { SvidStore } from './svid-store.js';
import { requireTrustedFolder } from './trusted-folder.js';
import { isVersionedFolder, VersionedFolder } from './versioned-folder.js';
import type { FileToWrite, Ownership } from './write-new-file.js';

export const directoryStoreConfigSchema = z.strictObject({
  directory: z.string().min(1),
  owner: z.string().min(1).optional(),
  group: z.string().min(1).optional(),
});

interface DirectoryStoreOptions {
  readonly directory: string;
  readonly ownership: Ownership;
}

const NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}$/;
const FOLDER_MODE = 0o755;
const PUBLIC_MODE = 0o644;

export class DirectoryStore implements SvidStore {
  readonly #directory: string;
  readonly #ownership: Ownership;
  readonly #lock: FolderLock;

  constructor({ directory, ownership }: DirectoryStoreOptions) {
    this.#directory = resolve(directory);
    this.#ownership = ownership;
    this.#lock = new FolderLock(this.#directory);
  }

  /**
   * To be called first: whatever no entry names is taken away from the folder, so it can be that of one agent only.
   * @throws BonafideError when the folder cannot be used.
   */
  async prepare(): Promise<void> {
    await createDirectory(this.#directory, FOLDER_MODE);
    await requireTrustedFolder(this.#directory);
    this.#lock.take();
  }

  place(destination: readonly string[]): string {
    const names = destination.map((value) => /^name:(.*)$/s.exec(value)?.[1]);
    const [name] = names;
    if (names.length !== 1 || name === undefined || !NAME.test(name)) {
      throw invalidArgument(
        `${JSON.stringify(destination)} names no folder of the store; expected one selector directory:name:NAME, of letters, digits, ".", "_" and "-"`,
      );
    }
    return name;
  }

  async put(place: string, identity: DeliveredIdentity): Promise<boolean> {
    await this.prepare();
    const folder = this.#folder(place);
    await folder.prepare();
    return folder.replace(filesOf(identity, this.#ownership.gid === undefined ? 0o600 : 0o640));
  }

  async remove(place: string): Promise<void> {
    if (await isVersionedFolder(join(this.#directory, place))) await this.#folder(place).remove();
  }

  async places(): Promise<readonly string[]> {
    const found: string[] = [];
    for (const name of await readdir(this.#directory).catch(() => []))
      // not made yet
      if (NAME.test(name) && (await isVersionedFolder(join(this.#directory, name)))) found.push(name);
    return found;
  }

  #folder(place: string): VersionedFolder {
    return new VersionedFolder({ path: join(this.#directory, place), ownership: this.#ownership });
  }
}

function filesOf(identity: DeliveredIdentity, keyMode: number): readonly FileToWrite[] {
  const texts = pemTexts(identity, {
    addsIntermediatesToBundle: false,
    includesFederatedDomains: false,
    omitsExpiredAt: undefined,
  });
  return [
    { name: 'svid.pem', content: texts.certificateChain, mode: PUBLIC_MODE },
    { name: 'svid_key.pem', content: texts.privateKey, mode: keyMode },
    { name: 'svid_bundle.pem', content: texts.bundle, mode: PUBLIC_MODE },
    ...identity.federatedBundles.map(([id, bundle]) => ({
      name: `federated.${id.replace('spiffe://', '')}.pem`,
      content: certificatesPem(bundle),
      mode: PUBLIC_MODE,
    })),
  ];
}

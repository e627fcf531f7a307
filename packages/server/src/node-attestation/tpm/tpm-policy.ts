/** The policy as it is now: the configuration, and what its files say since they were last changed. */
import { parseConfig } from '@bonafide/shared/config/load-config';
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { NodeAttestorHost } from '../node-attestor.js';
import { parseImaAllowList, type DigestList } from './digest-list.js';
import { goldenSetsSchema, unquotedPart, type GoldenPcrs, type GoldenSets } from './golden-sets.js';
import type { TpmPolicyConfig } from './tpm-config.js';
import { WatchedFile, type FileText } from '../watched-file.js';

export interface CurrentPolicy {
  readonly config: TpmPolicyConfig;
  readonly golden: GoldenSets;
  /** Undefined: measured files are not judged. */
  readonly imaAllowList: DigestList | undefined;
}

const YAML_FILES = ['.yaml', '.yml', '.json'];

export class TpmPolicy {
  readonly #config: TpmPolicyConfig;
  readonly #golden: WatchedFile<GoldenSets> | undefined;
  readonly #imaAllowList: WatchedFile<DigestList> | undefined;

  private constructor(
    config: TpmPolicyConfig,
    golden: WatchedFile<GoldenSets> | undefined,
    imaAllowList: WatchedFile<DigestList> | undefined,
  ) {
    this.#config = config;
    this.#golden = golden;
    this.#imaAllowList = imaAllowList;
  }

  /** @throws BonafideError `invalid_argument` when a file cannot be used. */
  static async open(
    config: TpmPolicyConfig,
    { clock, log }: Pick<NodeAttestorHost, 'clock' | 'log'>,
  ): Promise<TpmPolicy> {
    const { golden_path: goldenPath, ima_allow_list_path: imaPath } = config;
    return new TpmPolicy(
      config,
      goldenPath === undefined
        ? undefined
        : await WatchedFile.open({
            ...{ path: goldenPath, extensions: YAML_FILES, clock, log },
            parse: (files) => parseGoldenFiles(files, config),
          }),
      imaPath === undefined
        ? undefined
        : await WatchedFile.open({ path: imaPath, parse: parseImaAllowList, clock, log }),
    );
  }

  async current(): Promise<CurrentPolicy> {
    const fromFiles = await this.#golden?.current();
    return {
      config: this.#config,
      golden: new Map([...(this.#config.golden ?? []), ...(fromFiles ?? [])]),
      imaAllowList: await this.#imaAllowList?.current(),
    };
  }
}

/** @throws BonafideError `invalid_argument` naming the file, and the place in it. */
function parseGoldenFiles(files: readonly FileText[], config: TpmPolicyConfig): GoldenSets {
  const sets = new Map<string, GoldenPcrs>();
  for (const { path, text } of files) {
    for (const [name, set] of parseConfig(path, text, goldenSetsSchema)) {
      if (sets.has(name) || config.golden?.has(name) === true) {
        throw invalidArgument(`${path}: there are two golden sets ${JSON.stringify(name)}`);
      }
      const unseen = unquotedPart(set, config);
      if (unseen !== undefined) throw invalidArgument(`${path}: ${name} names ${unseen}`);
      sets.set(name, set);
    }
  }
  if (sets.size === 0) throw invalidArgument('golden_path: no golden set is there; every machine would do');
  return sets;
}

/** SPIRE's `plugin_data_file`: what stands in that file takes the place of a `plugin_data`, and keeps its name and lines for messages. */
import { errorMessage } from '../../errors/bonafide-error.js';
import type { ConfigProblem } from '../config-problem.js';
import type { HclEntry, HclGroup, HclValue } from '../hcl/hcl-tree.js';
import { readConfigFile } from '../read-config-file.js';
import { isSwitchedOff } from './translate-plugins.js';

type ReadTree = (file: string, source: string) => Promise<HclGroup>;

export interface WithPluginData {
  /** A `plugin_data_file` is still in it where there is a problem with it. */
  readonly root: HclGroup;
  readonly problems: readonly ConfigProblem[];
}

/** A relative path counts from the working folder, as in SPIRE. */
export async function withPluginData(root: HclGroup, readTree: ReadTree): Promise<WithPluginData> {
  const problems: ConfigProblem[] = [];
  const kinds = (plugins: HclEntry): Promise<HclEntry> =>
    mapGroups(plugins, (kind) =>
      mapGroups(kind, (plugin) =>
        mapFields(plugin, (fields) =>
          withData(fields, ['plugins', kind.key, plugin.key], readTree, problems),
        ),
      ),
    );
  const entries = await inOrder(root.entries, async (entry) =>
    entry.key === 'plugins' ? kinds(entry) : entry,
  );
  return { root: { ...root, entries }, problems };
}

async function withData(
  fields: readonly HclEntry[],
  path: readonly string[],
  readTree: ReadTree,
  problems: ConfigProblem[],
): Promise<readonly HclEntry[]> {
  if (isSwitchedOff(fields) || fields.some(isProgram)) return fields;
  return inOrder(fields, async (field) => {
    if (field.key !== 'plugin_data_file') return field;
    const refuse = (message: string): HclEntry => {
      problems.push({ position: field.at, path: [...path, field.key].join('.'), message });
      return field;
    };
    const others = fields.filter((other) => other !== field && DATA_KEYS.includes(other.key));
    if (others.length > 0) return refuse('only one plugin_data or plugin_data_file can be there');
    const { value } = field;
    if (value.kind !== 'scalar' || typeof value.value !== 'string' || value.value === '') {
      return refuse('expected the path of a file, in quotes');
    }
    try {
      const group = await readTree(value.value, await readConfigFile(value.value, 'file'));
      return { key: 'plugin_data', at: field.at, value: placedIn(group, value.value) };
    } catch (error) {
      return refuse(errorMessage(error));
    }
  });
}

const DATA_KEYS: readonly string[] = ['plugin_data', 'plugin_data_file'];

function isProgram({ key, value }: HclEntry): boolean {
  return key === 'plugin_cmd' && !(value.kind === 'scalar' && value.value === '');
}

function mapGroups(entry: HclEntry, map: (inner: HclEntry) => Promise<HclEntry>): Promise<HclEntry> {
  return mapFields(entry, (fields) => inOrder(fields, map));
}

/** Of the group, or of each in a list as JSON may have it; whatever else it is, is judged later. */
async function mapFields(
  entry: HclEntry,
  map: (fields: readonly HclEntry[]) => Promise<readonly HclEntry[]>,
): Promise<HclEntry> {
  const mapValue = async (value: HclValue): Promise<HclValue> =>
    value.kind === 'group' ? { ...value, entries: await map(value.entries) } : value;
  const { value } = entry;
  if (value.kind !== 'list') return { ...entry, value: await mapValue(value) };
  return { ...entry, value: { ...value, items: await inOrder(value.items, mapValue) } };
}

async function inOrder<T, R>(items: readonly T[], map: (item: T) => Promise<R>): Promise<readonly R[]> {
  const mapped: R[] = [];
  for (const item of items) mapped.push(await map(item));
  return mapped;
}

function placedIn(value: HclValue, file: string): HclValue {
  const at = { ...value.at, file };
  switch (value.kind) {
    case 'scalar':
      return { ...value, at };
    case 'list':
      return { ...value, at, items: value.items.map((item) => placedIn(item, file)) };
    case 'group': {
      const entries = value.entries.map((entry) => ({
        ...entry,
        at: { ...entry.at, file },
        value: placedIn(entry.value, file),
      }));
      return { ...value, at, entries };
    }
  }
}

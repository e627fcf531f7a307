/** What an import did or would do, for people and for programs. */
import type { JsonValue } from '@bonafide/shared/cli/output';
import { IMPORT_KINDS, type Finding, type ImportKind, type SpireState } from './spire-state.js';

export interface Tally {
  readonly created: number;
  readonly updated: number;
  readonly unchanged: number;
  /** Changed here since; what is here stays. */
  readonly newerHere: number;
  readonly onlyHere: number;
  /** Of those that were only here. */
  readonly pruned: number;
}

export const NOTHING: Tally = { created: 0, updated: 0, unchanged: 0, newerHere: 0, onlyHere: 0, pruned: 0 };

export interface ImportReport {
  readonly source: SpireState['source'];
  readonly schema: SpireState['schema'];
  readonly trustDomain: string;
  readonly isDryRun: boolean;
  /** Of the one transaction; undefined when nothing changed, or in a dry run. */
  readonly revision: number | undefined;
  readonly tallies: Readonly<Record<ImportKind, Tally>>;
  readonly notCarried: readonly Finding[];
  /** Carried over, with something to do about it. */
  readonly warnings: readonly Finding[];
}

const WORDS: Readonly<Record<ImportKind, string>> = {
  bundles: 'bundles',
  federation_relationships: 'federation relationships',
  entries: 'entries',
  agents: 'agents',
  join_tokens: 'join tokens',
  authorities: 'authorities',
};
/** More of one reason say nothing new. */
const MOST_LINES = 50;

export function reportText(report: ImportReport): string {
  const { source, schema, trustDomain, isDryRun, revision, tallies, notCarried, warnings } = report;
  const of =
    schema === undefined ? '' : ` (schema ${schema.version}, SPIRE ${schema.codeVersion || 'unknown'})`;
  const outcome = isDryRun
    ? 'Dry run: nothing was changed.'
    : revision === undefined
      ? 'Nothing to change.'
      : `Imported in revision ${revision}.`;
  const table = IMPORT_KINDS.map((kind) => `${WORDS[kind].padEnd(26)}: ${tallyText(tallies[kind])}`);
  return [
    `Source                    : ${source}${of}`,
    `Trust domain              : ${trustDomain}`,
    ...table,
    ...findingLines('Not carried over', notCarried),
    ...findingLines('To be looked at', warnings),
    outcome,
    '',
  ].join('\n');
}

function tallyText(tally: Tally): string {
  const { created, updated, unchanged, newerHere, onlyHere, pruned } = tally;
  const rare = [
    ...(newerHere === 0 ? [] : [`${newerHere} newer here`]),
    ...(pruned === 0 ? [] : [`${pruned} pruned`]),
  ];
  return [
    `${created} created`,
    `${updated} updated`,
    `${unchanged} unchanged`,
    `${onlyHere} only here`,
    ...rare,
  ].join(', ');
}

function findingLines(title: string, findings: readonly Finding[]): readonly string[] {
  if (findings.length === 0) return [];
  const lines = findings.slice(0, MOST_LINES).map(({ kind, name, reason, remedy }) => {
    const what = name === undefined ? WORDS[kind] : `${WORDS[kind]}: ${name}`;
    return `  ${what}: ${reason}; ${remedy}`;
  });
  const more = findings.length - lines.length;
  return [
    `${title} (${findings.length}):`,
    ...lines,
    ...(more > 0 ? [`  ... and ${more} more; --output json has them all`] : []),
  ];
}

export function reportJson(report: ImportReport): JsonValue {
  const { source, schema, trustDomain, isDryRun, revision, tallies, notCarried, warnings } = report;
  return {
    source,
    ...(schema === undefined ? {} : { schema_version: schema.version, code_version: schema.codeVersion }),
    trust_domain: trustDomain,
    dry_run: isDryRun,
    ...(revision === undefined ? {} : { revision }),
    counts: Object.fromEntries(IMPORT_KINDS.map((kind) => [kind, tallyJson(tallies[kind])])),
    not_carried: notCarried.map(findingJson),
    warnings: warnings.map(findingJson),
  };
}

function tallyJson({ created, updated, unchanged, newerHere, onlyHere, pruned }: Tally): JsonValue {
  return { created, updated, unchanged, newer_here: newerHere, only_here: onlyHere, pruned };
}

function findingJson({ kind, name, reason, remedy }: Finding): JsonValue {
  return { kind, ...(name === undefined ? {} : { name }), reason, remedy };
}

/** SPIRE's patterns for container IDs in control groups, such as `/docker/<id>`: for engines whose groups are named otherwise. */
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import type { AttestedProcess } from '../attested-process.js';
import { readCgroups } from '../cgroups.js';
import { ownerOfPath } from './cgroup-path.js';
import type { ContainerLocation } from './container-of.js';

export interface ContainerMatcher {
  readonly segments: readonly string[];
}

const ANY = '*';
const ID = '<id>';
const CONTAINER_ID = /^[0-9a-f]{64}$/;

/**
 * Each segment of a pattern is itself, `*` for any, or `<id>`, which it has exactly once.
 * @throws BonafideError `invalid_argument`, also when two patterns could match one path.
 */
export function parseContainerMatchers(patterns: readonly string[]): readonly ContainerMatcher[] {
  const matchers = patterns.map((pattern) => {
    const segments = pattern.split('/');
    if (segments.filter((segment) => segment === ID).length !== 1) {
      throw invalidArgument(
        `pattern ${JSON.stringify(pattern)} must contain the container id token "<id>" exactly once`,
      );
    }
    return { segments };
  });
  for (const [index, a] of matchers.entries()) {
    const other = matchers.slice(index + 1).find((b) => areAmbiguous(a, b));
    if (other === undefined) continue;
    const both = [a, other].map(({ segments }) => JSON.stringify(segments.join('/'))).join(' and ');
    throw invalidArgument(`patterns must not be ambiguous: ${both} match the same paths`);
  }
  return matchers;
}

function areAmbiguous(a: ContainerMatcher, b: ContainerMatcher): boolean {
  return (
    a.segments.length === b.segments.length &&
    a.segments.every((segment, index) => {
      const other = b.segments[index] ?? '';
      return segment === other || [segment, other].some((one) => one === ANY || one === ID);
    })
  );
}

/** Undefined when no pattern matches. @throws BonafideError `failed_precondition` for two containers or what is no container's ID. */
export function matchContainer(
  process: Pick<AttestedProcess, 'procPath'>,
  matchers: readonly ContainerMatcher[],
): ContainerLocation | undefined {
  const found = readCgroups(process).flatMap(({ hierarchyId, path }) => {
    const own = matchers.map((matcher) => matchPath(path, matcher)).find((match) => match !== undefined);
    return own === undefined ? [] : [{ ...own, group: `${hierarchyId}:${own.path}` }];
  });
  const [first] = found;
  if (first === undefined) return undefined;
  if (!CONTAINER_ID.test(first.containerId))
    throw refused('a pattern matched, but no container id was found');
  if (found.some(({ containerId }) => containerId !== first.containerId)) {
    throw refused('multiple container IDs found in the control groups of the process');
  }
  const { containerId, path } = first;
  const prefix = /(?:^|\/)libpod-[^/]*$/.test(path) ? 'libpod' : undefined;
  const owners = new Set(found.map((each) => ownerOfPath(each.path)));
  if (owners.size > 1) throw refused('more than one user owns the control groups of the process');
  const [ownerUid] = owners;
  const groups = found.map(({ group }) => group).sort();
  return { containerId, prefix, podUid: undefined, ownerUid, path, source: 'cgroup', groups };
}

function matchPath(
  path: string,
  { segments }: ContainerMatcher,
): Pick<ContainerLocation, 'containerId' | 'path'> | undefined {
  const parts = path.split('/');
  if (parts.length !== segments.length) return undefined;
  if (!segments.every((segment, index) => segment === ANY || segment === ID || segment === parts[index])) {
    return undefined;
  }
  const at = segments.indexOf(ID);
  return { containerId: parts[at] ?? '', path: parts.slice(0, at + 1).join('/') };
}

function refused(why: string): BonafideError {
  return new BonafideError('failed_precondition', why);
}

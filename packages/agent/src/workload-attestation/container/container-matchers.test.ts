import fc from 'fast-check';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import { matchContainer, parseContainerMatchers } from './container-matchers.js';
import { A, B } from './container-of-samples.js';
import { writeProcessFolder } from './process-folder-samples.js';

function matched(patterns: readonly string[], ...cgroups: readonly string[]) {
  using directory = createTemporaryDirectory();
  const procPath = writeProcessFolder(directory.join('process'), {
    cgroups: cgroups.map((path, index) => `${index}:c${index}:${path}`),
  });
  return matchContainer({ procPath }, parseContainerMatchers(patterns));
}

describe('patterns of container IDs', () => {
  it.each([
    ['/docker/<id>', `/docker/${A}`, `/docker/${A}`],
    ['/*/<id>', `/anything/${A}`, `/anything/${A}`],
    ['/my.slice/*/<id>/*', `/my.slice/x/${A}/web`, `/my.slice/x/${A}`],
    ['/<id>/*', `/${A}/x`, `/${A}`],
  ])('%s finds the container of %s', (pattern, cgroup, path) => {
    expect(matched([pattern], cgroup)).toMatchObject({
      ...{ containerId: A, path, source: 'cgroup', podUid: undefined, ownerUid: undefined },
      groups: [`0:${path}`],
    });
  });

  it.each([
    ['/docker/<id>', `/docker/${A}/x`],
    ['/docker/<id>', `/docker`],
    ['/docker/<id>', `/podman/${A}`],
    ['/docker/<id>', `/x/docker/${A}`],
  ])('%s does not find %s', (pattern, cgroup) => {
    expect(matched([pattern], cgroup)).toBeUndefined();
  });

  it('find one container in several hierarchies, and who owns it', () => {
    const path = `/user.slice/user-1000.slice/libpod-x/${A}`;
    expect(matched(['/user.slice/*/*/<id>'], '/', path, path)).toMatchObject({
      ...{ containerId: A, ownerUid: 1000, groups: [`1:${path}`, `2:${path}`] },
    });
  });

  it.each([
    ['two containers', ['/docker/<id>'], [`/docker/${A}`, `/docker/${B}`], 'multiple container IDs'],
    ['what is no ID', ['/docker/<id>'], ['/docker/web'], 'no container id was found'],
    ['an ID in capitals', ['/docker/<id>'], [`/docker/${A.toUpperCase()}`], 'no container id was found'],
    [
      'two owners',
      ['/*/*/<id>'],
      [`/user.slice/user-7.slice/${A}`, `/user.slice/user-8.slice/${A}`],
      'more than one user owns',
    ],
    [
      'an owner in one hierarchy only',
      ['/*/*/<id>'],
      [`/user.slice/user-7.slice/${A}`, `/a/b/${A}`],
      'more than one user owns',
    ],
  ])('refuse %s', (_, patterns, cgroups, message) => {
    expect(() => matched(patterns, ...cgroups)).toThrow(message);
  });

  it.each([
    [['/docker/'], 'exactly once'],
    [['/<id>/<id>'], 'exactly once'],
    [['/docker/<id>.scope'], 'exactly once'],
    [['/a/<id>', '/*/<id>'], 'ambiguous'],
    [['/a/<id>', '/<id>/a'], 'ambiguous'],
  ])('are refused: %j', (patterns, message) => {
    expect(() => parseContainerMatchers(patterns)).toThrow(message);
  });

  it('may be several where no path fits two of them', () => {
    expect(matched(['/a/<id>', '/b/<id>', '/a/*/<id>'], `/a/x/${A}`)?.containerId).toBe(A);
  });

  it('never give what is no container ID, whatever the pattern and the path', () => {
    const segment = fc.constantFrom('a', '*', '<id>', A, B, '', '..', 'user-1.slice');
    const path = fc.array(segment, { minLength: 1, maxLength: 5 }).map((each) => `/${each.join('/')}`);
    fc.assert(
      fc.property(path, path, path, (pattern, one, two) => {
        try {
          expect([A, B, undefined]).toContain(matched([pattern], one, two)?.containerId);
        } catch (error) {
          expect(error).toBeInstanceOf(BonafideError);
        }
      }),
    );
  });
});

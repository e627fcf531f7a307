import { parseSelector } from '@bonafide/shared/registration/selector';
import { describe, expect, it } from 'vitest';
import { editsBetween } from './edits-between.js';
import { PresentedSelectors } from './presented-selectors.js';
import { hintFor } from './selector-hints.js';

const presented = new PresentedSelectors([
  {
    attestor: 'unix',
    selectors: [
      'unix:uid:1000',
      'unix:gid:33',
      'unix:user:www-data',
      'unix:group:www-data',
      'unix:path:/usr/bin/python3.11',
    ].map(parseSelector),
  },
  {
    attestor: 'docker',
    selectors: ['docker:label:app:web', 'docker:label:tier:front', 'docker:image_id:nginx:1.27'].map(
      parseSelector,
    ),
  },
  { attestor: 'systemd', selectors: [] },
  { attestor: 'k8s', selectors: undefined },
]);

describe('hintFor', () => {
  it.each([
    ['unix:user:www-dta', 'similar', ['unix:user:www-data']],
    ['unix:user:wwwdata', 'similar', ['unix:user:www-data']],
    ['unix:user:ww-wdata', 'similar', ['unix:user:www-data']],
    ['unix:user:WWW-Data', 'differs_in_case', ['unix:user:www-data']],
    ['unix:user:www', 'is_part', ['unix:user:www-data']],
    ['unix:path:/usr/bin/python3', 'is_part', ['unix:path:/usr/bin/python3.11']],
    ['unix:path:/bin/python3.11', 'is_part', ['unix:path:/usr/bin/python3.11']],
    ['docker:image_id:nginx', 'is_part', ['docker:image_id:nginx:1.27']],
    ['unix:usr:www-data', 'other_name', ['unix:group:www-data']],
    ['unx:uid:1000', 'other_name', ['unix:uid:1000']],
    ['unix:user:postgres', 'differs', ['unix:user:www-data']],
    ['docker:label:app:database', 'differs', ['docker:label:app:web']],
  ])('%s: %s of %s', (wanted, kind, instead) => {
    const hint = hintFor(parseSelector(wanted), presented);
    expect(hint).toMatchObject({ kind, presented: instead.map(parseSelector) });
  });

  it.each(['unix:uid:1001', 'unix:uid:100', 'unix:uid:33', 'unix:gid:1000'])(
    'never takes one number for a slip of another: %s',
    (wanted) => {
      expect(hintFor(parseSelector(wanted), presented).kind).toBe('differs');
    },
  );

  it.each([
    ['k8s:ns:default', { kind: 'attestor_failed' }],
    ['systemd:id:web.service', { kind: 'nothing_presented' }],
    ['unix:sha256:00ff', { kind: 'kind_not_presented' }],
    ['docker:label:colour:red', { kind: 'kind_not_presented' }],
    ['dokcer:image_id:redis', { kind: 'attestor_not_configured', similar: 'docker' }],
    ['aws:tag:x', { kind: 'attestor_not_configured', similar: undefined }],
  ])('%s: %j', (wanted, hint) => {
    expect(hintFor(parseSelector(wanted), presented)).toEqual(hint);
  });

  it('names what is most alike first, and at most three', () => {
    const many = new PresentedSelectors([
      {
        attestor: 'unix',
        selectors: ['root', 'www-data', 'web-admin', 'backup'].map((name) =>
          parseSelector(`unix:supplementary_group:${name}`),
        ),
      },
    ]);
    const hint = hintFor(parseSelector('unix:supplementary_group:web-readers'), many);
    expect(hint).toMatchObject({ kind: 'differs' });
    const found = 'presented' in hint ? hint.presented.map(({ value }) => value) : [];
    expect(found).toHaveLength(3);
    expect(found[0]).toBe('supplementary_group:web-admin');
  });
});

describe('editsBetween', () => {
  it.each([
    ['', '', 0],
    ['abc', 'abc', 0],
    ['abc', 'abd', 1],
    ['abc', 'acb', 1],
    ['abc', 'ab', 1],
    ['kitten', 'sitting', 3],
    ['abcdef', 'uvwxyz', undefined],
    ['a', 'aaaaa', undefined],
  ])('%s to %s: %s', (a, b, edits) => {
    expect(editsBetween(a, b, 3)).toBe(edits);
    expect(editsBetween(b, a, 3)).toBe(edits);
  });
});

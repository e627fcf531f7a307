/**
 * A page of the documentation as a reader works through it: what is run, and what is written to files. The words after a fence say how:
 *
 *     ```sh                                      run, and must succeed; exported variables and the folder carry over to the next block
 *     ```sh fails                                run, and must not succeed
 *     ```sh background="Starting Server APIs"    started, until it prints this; ends with the page
 *     ```sh elsewhere="needs a cluster"          not run here, for this reason
 *     ```yaml file=server.yaml                   written to a file; a configuration of ours is validated once the page is through
 *     ```text                                    behind a block that is run: lines that it prints, in this order, … for anything
 *
 * A page is run when it says in a comment what it takes: `<!-- run: { ports: [8081] } -->`. One that needs programs that run, and shows nothing of how they
 * are started, goes on where a section of getting-started.md ends: `<!-- run: { ports: [8081], after: '2. An agent' } -->`.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parse } from 'yaml';

export const root = join(import.meta.dirname, '..', '..', '..');

export interface PageSettings {
  /** The heading of the section of getting-started.md up to which its reader has come before. */
  readonly after?: string;
  /** Numbers that are replaced by free ports wherever they stand. */
  readonly ports?: readonly number[];
  /** Absolute folders that are replaced by folders of the test. */
  readonly folders?: readonly string[];
  /** The url of a database that is replaced by that of a real, empty one. */
  readonly postgres?: string;
  /** The device that is replaced by a software TPM. */
  readonly tpm?: string;
  /** One of the folders: the data folder of a SPIRE server. */
  readonly spire?: string;
  /** Programs without which the page is not run. */
  readonly needs?: readonly string[];
}

export interface Block {
  readonly language: string;
  /** Page and line. */
  readonly place: string;
  readonly text: string;
  readonly file: string | undefined;
  readonly isToFail: boolean;
  readonly background: string | undefined;
  readonly elsewhere: string | undefined;
}

export interface Page {
  /** From the root of the repository. */
  readonly path: string;
  /** Undefined: it is not run. */
  readonly settings: PageSettings | undefined;
  readonly blocks: readonly Block[];
}

const FENCE = /^( *)```([a-z]*)(.*)\n([\s\S]*?)^\1```$/gm;
const SETTINGS = /^<!-- run: (\{.*\}) -->$/m;
const KNOWN_WORDS = /^(fails|background="[^"]+"|elsewhere="[^"]+"|file=\S+)$/;

/** README.md and all that is below docs. */
export function readPages(): readonly Page[] {
  const below = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' });
  const pages = below.filter((name) => name.endsWith('.md')).map((name) => join(root, 'docs', name));
  return [join(root, 'README.md'), ...pages.toSorted()].map((path) =>
    parsePage(relative(root, path), readFileSync(path, 'utf8')),
  );
}

/** What a reader does up to the end of a section of getting-started.md. @throws Error when there is no such section. */
export function blocksOfBeginning(heading: string): readonly Block[] {
  const path = join('docs', 'getting-started.md');
  const [start = '', ...sections] = readFileSync(join(root, path), 'utf8').split(/^(?=## )/m);
  const last = sections.findIndex((section) => section.startsWith(`## ${heading}\n`));
  if (last === -1) throw new Error(`${path} has no section ${heading}`);
  return parsePage(path, [start, ...sections.slice(0, last + 1)].join('')).blocks;
}

/** @throws Error when a fence has words that mean nothing. */
export function parsePage(path: string, text: string): Page {
  const settings = SETTINGS.exec(text)?.[1];
  const blocks = [...text.matchAll(FENCE)].map((match): Block => {
    const [, indent = '', language = '', info = '', body = ''] = match;
    const place = `${path}:${text.slice(0, match.index).split('\n').length}`;
    const words: readonly string[] = info.match(/\w+="[^"]*"|\S+/g) ?? [];
    const wrong = words.find((word) => !KNOWN_WORDS.test(word));
    if (wrong !== undefined) throw new Error(`${place}: ${wrong} means nothing behind a fence`);
    const valueOf = (name: string): string | undefined =>
      words
        .find((word) => word.startsWith(`${name}=`))
        ?.slice(name.length + 1)
        .replaceAll('"', '');
    return {
      language,
      place,
      text: body.replaceAll(new RegExp(`^ {0,${indent.length}}`, 'gm'), ''),
      file: valueOf('file'),
      isToFail: words.includes('fails'),
      background: valueOf('background'),
      elsewhere: valueOf('elsewhere'),
    };
  });
  return { path, settings: settings === undefined ? undefined : (parse(settings) as PageSettings), blocks };
}

/**
 * Tells when source files change: folders are watched, and changes that come together (a save, a
 * checkout) are told once. One reload at a time; what changes during one leads to another after it.
 */
import { type FSWatcher, watch } from "node:fs";
import { join, relative } from "node:path";

/** Editors write a file in several steps. */
const QUIET_MS = 120;
const SOURCE = /\.(?:ts|sql|json|toml|html|css)$/;

/** `onChange` gets the changed paths, relative to `root`. Returns what ends the watching. */
export function watchFolders(
  root: string,
  folders: string[],
  onChange: (paths: string[]) => Promise<void>,
): () => void {
  const changed = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let isReloading = false;

  const reload = async (): Promise<void> => {
    if (isReloading) return;
    isReloading = true;
    while (changed.size > 0) {
      const paths = [...changed].toSorted();
      changed.clear();
      await onChange(paths);
    }
    isReloading = false;
  };
  const note = (folder: string, name: string | null): void => {
    if (name === null || !SOURCE.test(name) || name.includes("node_modules")) return;
    changed.add(relative(root, join(folder, name)));
    clearTimeout(timer);
    timer = setTimeout(() => void reload(), QUIET_MS);
  };
  const watchers: FSWatcher[] = folders.map((folder) => {
    const path = join(root, folder);
    return watch(path, { recursive: true }, (_event, name) => note(path, name));
  });
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}

// Reads our directory with tuf-js: the standard client workflow, then the targets that are asked for.
// In: {url, folder, targets: [path]}; folder/metadata/root.json is the trusted root. Out: {targets: {path: base64}}.

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Updater } from "tuf-js";

const given = JSON.parse(readFileSync(0, "utf8"));
const targetDir = join(given.folder, "targets");
mkdirSync(targetDir, { recursive: true });

const updater = new Updater({
  metadataDir: join(given.folder, "metadata"),
  metadataBaseUrl: `${given.url}/metadata`,
  targetDir,
  targetBaseUrl: `${given.url}/targets`,
  config: { prefixTargetsWithHash: true, fetchRetry: 0, fetchRetries: 0 },
});

const found = {};
try {
  await updater.refresh();
  for (const path of given.targets) {
    const target = await updater.getTargetInfo(path);
    if (target === undefined) {
      found[path] = null;
      continue;
    }
    const file = await updater.downloadTarget(target, join(targetDir, encodeURIComponent(path)));
    found[path] = readFileSync(file).toString("base64");
  }
} catch (problem) {
  process.stderr.write(`${problem.constructor.name}: ${problem.message}\n`);
  process.exit(1);
}
process.stdout.write(JSON.stringify({ targets: found }));

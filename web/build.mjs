// Builds src/retrograd/glass/page/app.js and app.css, the bundle that the Python package ships (run by scripts/page).
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const here = import.meta.dirname;
const out = join(here, "../src/retrograd/glass/page");

/** The digest of everything the bundle is made of; scripts/page --check computes the same in Python. */
function digest() {
  const hash = createHash("sha256");
  const sources = readdirSync(join(here, "src")).sort().map((name) => `src/${name}`);
  for (const name of ["build.mjs", "package-lock.json", "package.json", ...sources]) {
    hash.update(name + "\0");
    hash.update(readFileSync(join(here, name)));
    hash.update("\0");
  }
  return hash.digest("hex");
}

const result = await build({
  entryPoints: { app: join(here, "src/main.js") },
  bundle: true,
  minify: true,
  format: "iife",
  target: ["chrome109", "firefox115", "safari16"],
  charset: "utf8",
  legalComments: "none",
  outdir: out,
  write: false,
});
const licences = ["@dagrejs/dagre", "temml", "uplot"].map((name) => {
  const folder = join(here, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  return `${name} ${version} (${license})\n\n${readFileSync(join(folder, "LICENSE"), "utf8").trim()}\n`;
});
writeFileSync(join(out, "LICENSES.txt"), "Libraries in app.js and app.css, and their licences\n\n" + licences.join("\n\n"));
for (const file of result.outputFiles) {
  const name = file.path.endsWith(".css") ? "app.css" : "app.js";
  const mark = `/* built by web/build.mjs from sources ${digest()}; third parties: LICENSES.txt */\n`;
  writeFileSync(join(out, name), mark + file.text.replaceAll("</script", "<\\/script"));
}

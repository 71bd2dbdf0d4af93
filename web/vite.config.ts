import { defineConfig } from "vite";

// fixed names, so that a build of the same sources is the same files; the server sends ETags
export default defineConfig({
  base: "/",
  build: {
    outDir: "../monai_ceph/review/page",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
    rolldownOptions: {
      output: {
        entryFileNames: "assets/review.js",
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
});

"""Run the application: ``python deploy/map --input FILMS --output RESULTS``."""

from app import CephalogramApp

if __name__ == "__main__":
    CephalogramApp().run()

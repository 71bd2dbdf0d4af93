"""A clinic's own definitions of landmarks, learned from films that it has corrected."""

from __future__ import annotations

from monai_ceph.profiles.profile import Profile, ProfileLandmark, load_profile, profile_text

__all__ = ["Profile", "ProfileLandmark", "load_profile", "profile_text"]

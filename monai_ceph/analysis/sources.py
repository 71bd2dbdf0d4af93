"""Where definitions come from.

A source that was not at hand when the definition was written says ``not read``: it is where others say that the
measurement comes from. Its DOI is as others give it; a source without one has none that was found. Its definition was
then taken from a source that was read, or from the general description in textbooks.
"""

from __future__ import annotations

NOT_READ = "not read"


def _unread(text: str) -> str:
    return f"{text} ({NOT_READ})"


STEINER_1953 = _unread("Steiner, Am J Orthod 1953;39:729-755, doi:10.1016/0002-9416(53)90082-7")
STEINER_1959 = _unread("Steiner, Angle Orthod 1959;29:8-29, doi:10.1043/0003-3219(1959)029<0008:CICP>2.0.CO;2")
RIEDEL_1952 = _unread("Riedel, Angle Orthod 1952;22:142-145")
DOWNS_1948 = _unread("Downs, Am J Orthod 1948;34:812-840, doi:10.1016/0002-9416(48)90015-3")
DOWNS_1956 = _unread("Downs, Angle Orthod 1956;26:191-212")
TWEED_1954 = _unread("Tweed, Angle Orthod 1954;24:121-169")
RICKETTS_1961 = _unread("Ricketts, Angle Orthod 1961;31:141-156")
RICKETTS_1968 = _unread("Ricketts, Am J Orthod 1968;54:272-289, doi:10.1016/S0002-9416(68)90278-9")
RICKETTS_1981 = _unread("Ricketts, Angle Orthod 1981;51:115-150, doi:10.1043/0003-3219(1981)051<0115:PITCAO>2.0.CO;2")
MCNAMARA_1984 = _unread("McNamara, Am J Orthod 1984;86:449-469, doi:10.1016/S0002-9416(84)90352-X")
BJORK_1969 = _unread("Björk, Am J Orthod 1969;55:585-599, doi:10.1016/0002-9416(69)90036-0")
JARABAK_1972 = _unread("Jarabak and Fizzell, Technique and Treatment with Light-Wire Edgewise Appliances, Mosby 1972")
MILLS_1982 = _unread("Mills, Principles and Practice of Orthodontics, Churchill Livingstone 1982")
HALL_SCOTT_1994 = _unread("Hall-Scott, Am J Orthod Dentofacial Orthop 1994;105:583-591")
NANDA_1994 = _unread("Nanda and Merrill, Am J Orthod Dentofacial Orthop 1994;105:328-344")
KIM_1974 = _unread("Kim, Am J Orthod 1974;65:586-611")
HOLDAWAY_1983 = _unread("Holdaway, Am J Orthod 1983;84:1-28, doi:10.1016/0002-9416(83)90144-6")
BURSTONE_1967 = _unread("Burstone, Am J Orthod 1967;53:262-284, doi:10.1016/0002-9416(67)90022-X")
LEGAN_1980 = _unread("Legan and Burstone, J Oral Surg 1980;38:744-751, PMID 6932485")
MERRIFIELD_1966 = _unread("Merrifield, Am J Orthod 1966;52:804-822, doi:10.1016/0002-9416(66)90250-8")
JACOBSON_2006 = _unread("Jacobson and Jacobson, Radiographic Cephalometry, 2nd edition, Quintessence 2006")

# these were read
JACOBSON_1975 = "Jacobson, Am J Orthod 1975;67:125-138, doi:10.1016/0002-9416(75)90065-2, abstract"
KIM_1978 = "Kim and Vietas, Am J Orthod 1978;73:619-633, doi:10.1016/0002-9416(78)90223-3, abstract"
JARABAK_TERMS = "analyzeceph.com/roth-jarabak-analysis"
RICKETTS_TERMS = "doi:10.1186/s40510-014-0044-y, Table 3"
CHALLENGE = "ISBI 2015 challenge, evaluation code, angle.py"
SIGNS = "doi:10.1186/s40510-016-0147-8, Table 2"
PLANES = "doi:10.1186/s12903-022-02131-3, Table 1"
HEIGHTS = "PMC4659762, Table 1"
VERTICAL = "doi:10.4041/kjod.2021.51.1.15, Table 1, planes as in Fig. 1"
VARIABLES = "doi:10.1186/s13005-016-0127-8, Table 2"
LENGTHS = "doi:10.1186/s40510-021-00368-2, Table 1"
AXES = "PMC8125905, Table 2"
OCCLUSAL = "PMC9317640, Table 1"
SOFT_TISSUE = "PMC6562227, Table 1"
MANDIBULAR = "doi:10.1186/s40510-017-0198-5, Fig. 2"


def secondary(*sources: str) -> str:
    """Return a citation without a primary source."""
    return f"secondary: {'; '.join(sources)}"
